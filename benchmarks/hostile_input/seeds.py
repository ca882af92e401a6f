"""Recordings that are in order, in every format that is taken and that PyAV can write; and how those begin that it cannot."""

import functools
import io
from typing import cast

import av
import numpy as np

_SECONDS = 1.0
_STAMPS_APART = 50_000.0

# Container, codec, rate.
_WRITTEN = (
    ("wav", "pcm_s16le", 16_000), ("wav", "pcm_f32le", 16_000), ("wav", "pcm_mulaw", 8_000),
    ("wav", "adpcm_ms", 16_000), ("wav", "adpcm_ima_wav", 16_000), ("w64", "pcm_s16le", 16_000),
    ("aiff", "pcm_s16be", 44_100), ("au", "pcm_s16be", 16_000), ("caf", "alac", 16_000), ("caf", "pcm_s16le", 16_000),
    ("ircam", "pcm_s16le", 16_000), ("sox", "pcm_s32le", 16_000), ("voc", "pcm_u8", 16_000),
    ("flac", "flac", 16_000), ("tta", "tta", 16_000), ("wv", "wavpack", 16_000),
    ("mp3", "libmp3lame", 16_000), ("mp2", "mp2", 44_100), ("ac3", "ac3", 48_000), ("eac3", "eac3", 48_000),
    ("adts", "aac", 44_100), ("latm", "aac", 44_100), ("amr", "libopencore_amrnb", 8_000),
    ("ogg", "libopus", 48_000), ("ogg", "flac", 16_000),
    ("matroska", "aac", 48_000), ("matroska", "pcm_s16le", 16_000), ("matroska", "flac", 16_000),
    ("webm", "libopus", 48_000), ("nut", "pcm_s16le", 16_000),
    ("mp4", "aac", 44_100), ("mp4", "alac", 16_000), ("ipod", "aac", 44_100), ("mov", "pcm_s16le", 16_000),
    ("3gp", "aac", 16_000), ("3gp", "libopencore_amrnb", 8_000),
    ("mpegts", "aac", 48_000), ("mpegts", "mp2", 48_000), ("mpeg", "mp2", 48_000), ("vob", "ac3", 48_000),
    ("avi", "libmp3lame", 44_100), ("avi", "pcm_s16le", 44_100), ("flv", "libmp3lame", 44_100), ("flv", "aac", 44_100),
    ("rm", "real_144", 8_000), ("rm", "ac3", 44_100),
)  # fmt: skip

_BEGINNINGS = (
    b"MAC \x96\x0f\0\0", b"MPCK", b"MP+\x07", b"DSD \x1c\0\0\0", b"tBaK", b"#!AMR\n", b"#!AMR-WB\n", b"FORM\0\0\x10\x008SVX",
    b"FORM\0\0\x10\0AIFC", b"NIST_1A\n   1024\n", b"RIFF\0\x10\0\0QLCM", b"RF64\xff\xff\xff\xffWAVEds64", b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
    b"\x7f\xfe\x80\x01", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"ea3\x03\0\0\0\0\0\x60EA3", b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02",
    b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f", b"OggS\0\x02", b"fLaC\0\0\0\x22", b"\0\0\0\x18ftypmp42", b"FLV\x01\x04\0\0\0\x09",
)  # fmt: skip


@functools.cache
def recordings() -> tuple[bytes, ...]:
    """Each a second of a tone, most of them 1 to 60 kB; MP4 also in fragments."""
    tone = _tone(_SECONDS)
    return (
        *(_encoded(container, codec, rate, tone) for container, codec, rate in _WRITTEN),
        _encoded("mp4", "aac", 44_100, tone, movflags="frag_keyframe+empty_moov", frag_duration="200000"),
    )


def beginnings() -> tuple[bytes, ...]:
    """First bytes by which FFmpeg knows formats, all it has of them."""
    return _BEGINNINGS


@functools.cache
def bombs() -> tuple[bytes, ...]:
    """Small files with much silence in them: coded as such, and between two stamps."""
    silence = np.zeros(600 * 16_000, np.float32)
    apart = [(0.0, _tone(_SECONDS)), (_STAMPS_APART, _tone(_SECONDS))]
    return (
        _encoded("flac", "flac", 8_000, silence),
        _encoded("ogg", "libopus", 48_000, silence[: 60 * 16_000]),
        *(_muxed(container, codec, rate, apart) for container, codec, rate in (
            ("matroska", "libopus", 48_000), ("webm", "libopus", 48_000), ("mpegts", "aac", 48_000),
            ("nut", "flac", 16_000), ("mov", "aac", 44_100), ("flv", "aac", 44_100),
        )),
    )  # fmt: skip


def _tone(seconds: float) -> np.ndarray:
    """Shape [samples], 16 kHz."""
    wave: np.ndarray = 0.3 * np.sin(2 * np.pi * 440 / 16_000 * np.arange(round(16_000 * seconds)))
    return wave.astype(np.float32)


def _encoded(container: str, codec: str, rate: int, sound: np.ndarray, **options: str) -> bytes:
    return _muxed(container, codec, rate, [(0.0, sound)], **options)


def _muxed(
    container: str, codec: str, rate: int, pieces: list[tuple[float, np.ndarray]], **options: str
) -> bytes:
    """Pieces of 16 kHz sound, each with the second at which it is stamped."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        stream = cast("av.AudioStream", output.add_stream(codec, rate=rate, layout="mono"))
        for start, sound in pieces:
            resampler = av.AudioResampler(format=stream.codec_context.format.name, layout="mono", rate=rate)
            frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), "fltp", "mono")
            frame.sample_rate = 16_000
            place = round(start * rate)
            for converted in [*resampler.resample(frame), *resampler.resample(None)]:
                converted.pts = place
                place += converted.samples
                output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return file.getvalue()
