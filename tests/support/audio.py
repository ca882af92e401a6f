"""Recordings made on the spot: signals, files of any format, and how to tell whether they came out right."""

import asyncio
import functools
import io
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from serving.audio import Bounds, Decoder, Recording, open_recording
from serving.config import ServerConfig
from speech.audio.v1 import audio_pb2
from support.decoder import shared_decoder

Floats = npt.NDArray[np.float32]

CONTAINER = audio_pb2.AudioFormat(container=audio_pb2.ContainerFormat())


def pcm_format(
    encoding: "audio_pb2.PcmEncoding.ValueType", rate: int, channels: int = 1
) -> audio_pb2.AudioFormat:
    return audio_pb2.AudioFormat(
        pcm=audio_pb2.PcmFormat(encoding=encoding, sample_rate_hz=rate, channels=channels)
    )


@functools.cache
def signal(seconds: float, rate: int) -> Floats:
    """Like speech to a correlation: bursts of noise between 200 and 3,000 Hz; the same at every rate. Shape [samples]."""
    rng = np.random.default_rng(7)
    times = np.arange(round(seconds * rate)) / rate
    total = np.zeros(len(times))
    for frequency, phase in zip(rng.uniform(200, 3000, 60), rng.uniform(0, 2 * np.pi, 60), strict=True):
        total += np.sin(2 * np.pi * frequency * times + phase)
    return (total / 60 * (1 + np.sin(2 * np.pi * 1.3 * times))).astype(np.float32)


def to_s16(samples: Floats) -> bytes:
    return np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def wav_header(
    rate: int, channels: int = 1, *, data_bytes: int, sample_bytes: int = 2, floats: bool = False
) -> bytes:
    block = channels * sample_bytes
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", min(36 + data_bytes, 0xFFFFFFFF), b"WAVE", b"fmt ", 16, 3 if floats else 1,
        channels, rate, min(rate * block, 0xFFFFFFFF), block & 0xFFFF, 8 * sample_bytes, b"data", data_bytes,
    )  # fmt: skip


def wav(samples: Floats, rate: int) -> bytes:
    """16 bits; `samples` of shape [samples] or [samples, channels]."""
    data = to_s16(samples)
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    return wav_header(rate, channels, data_bytes=len(data)) + data


def encoded(container: str, codec: str, samples: Floats, rate: int, **options: str) -> bytes:
    """A file of any format that FFmpeg writes; `samples` of shape [samples] or [samples, channels]."""
    return encoded_pieces(container, codec, [(0.0, samples)], rate, **options)


def encoded_pieces(
    container: str, codec: str, pieces: Iterable[tuple[float, Floats]], rate: int, **options: str
) -> bytes:
    """The same from pieces with the time, in seconds, at which each is stamped."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        stream = None
        for start, samples in pieces:
            planes = samples.reshape(len(samples), -1).T
            layout = "mono" if len(planes) == 1 else "stereo"
            if stream is None:
                stream = output.add_stream(codec, rate=rate, layout=layout)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), "fltp", layout)
            frame.sample_rate = rate
            resampler = av.AudioResampler(format=stream.codec_context.format.name, layout=layout, rate=rate)
            for converted in resampler.resample(frame):
                converted.pts = round(start * rate)
                output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return file.getvalue()


def film(
    seconds: float, sound: Floats | None, *, rate: int = 48_000, container: str = "mp4", sound_at: float = 0.0
) -> bytes:
    """Grey pictures, with sound from a certain second on or without."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        pictures = output.add_stream("mpeg4", rate=10, width=64, height=48, pix_fmt="yuv420p")
        track = None if sound is None else output.add_stream("aac", rate=rate, layout="mono")
        for index in range(round(seconds * 10)):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 8 * index % 255, np.uint8))
            picture.pts = index
            output.mux(pictures.encode(picture))
        output.mux(pictures.encode(None))
        if track is not None:
            frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), "fltp", "mono")
            frame.sample_rate, frame.pts = rate, round(sound_at * rate)
            output.mux(track.encode(frame))
            output.mux(track.encode(None))
    return file.getvalue()


def index_first(mp4: bytes) -> bytes:
    """The same file with its index before the sound, as for streaming."""
    boxes = dict(_boxes(mp4))
    index = boxes[b"moov"]
    place = 0
    while (place := index.find(b"stco", place + 4)) > 0:
        count = struct.unpack_from(">I", index, place + 8)[0]
        offsets = np.frombuffer(index, ">u4", count, place + 12) + len(index)
        index = index[: place + 12] + offsets.astype(">u4").tobytes() + index[place + 12 + 4 * count :]
    return (
        boxes[b"ftyp"]
        + index
        + b"".join(box for name, box in boxes.items() if name not in {b"ftyp", b"moov"})
    )


def _boxes(mp4: bytes) -> Iterable[tuple[bytes, bytes]]:
    place = 0
    while place < len(mp4):
        size = int.from_bytes(mp4[place : place + 4], "big")
        yield mp4[place + 4 : place + 8], mp4[place : place + size]
        place += size


async def in_chunks(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def bounds(*, max_seconds: float = 1e6, **others: Any) -> Bounds:
    """A service's defaults but for what is given."""
    return Bounds.of(ServerConfig(max_audio_seconds=max_seconds, **others))


@asynccontextmanager
async def opened(
    audio_format: audio_pb2.AudioFormat,
    chunks: AsyncIterator[bytes],
    *,
    decoder: Decoder | None = None,
    **limits: Any,
) -> AsyncIterator[Recording]:
    """`open_recording`, by default with the decoder that tests share; `limits` are fields of ServerConfig."""
    async with open_recording(
        audio_format, chunks, decoder=decoder or await shared_decoder(), bounds=bounds(**limits)
    ) as recording:
        yield recording


async def decoded(
    data: bytes,
    audio_format: audio_pb2.AudioFormat = CONTAINER,
    *,
    chunk_bytes: int = 64 * 1024,
    **others: Any,
) -> npt.NDArray[np.int16]:
    """All samples of an upload; hangs for no longer than 20 s. `others` are those of `opened`."""
    async with (
        asyncio.timeout(20),
        opened(audio_format, in_chunks(data, chunk_bytes), **others) as recording,
    ):
        blocks = [block async for block in recording.blocks()]
    return np.concatenate(blocks)


def best_lag(heard: npt.NDArray[np.int16], reference: Floats, span: int = 2000) -> tuple[int, float]:
    """By how many samples `heard` is late, and its correlation with the reference when that is set right."""
    size = 1 << (len(heard) + len(reference)).bit_length()
    spectrum = np.fft.rfft(heard.astype(float), size) * np.conj(np.fft.rfft(reference.astype(float), size))
    correlation = np.fft.irfft(spectrum, size)
    lags = np.arange(-span, span + 1)
    best = int(lags[np.argmax(correlation[lags])])
    peak = correlation[best] / (np.linalg.norm(heard.astype(float)) * np.linalg.norm(reference))
    return best, float(peak)


def png() -> bytes:
    """A small picture."""
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.framerate = 16, 16, "rgb24", 1
    picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))
    return b"".join(bytes(packet) for packet in [*codec.encode(picture), *codec.encode(None)])
