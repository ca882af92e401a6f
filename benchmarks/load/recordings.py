"""What is uploaded: always the same noise, as raw samples or in a container."""

import io
from dataclasses import dataclass
from typing import Any

import av
import numpy as np

from gateway.client import configuration
from serving.times import SAMPLE_RATE
from speech.audio.v1 import audio_pb2
from speech.gateway.v1 import gateway_pb2

PCM = audio_pb2.PcmFormat(encoding=audio_pb2.PCM_ENCODING_S16LE, sample_rate_hz=SAMPLE_RATE, channels=1)
_CODECS = {"wav": "pcm_s16le", "mp3": "libmp3lame", "ogg": "libopus"}
FORMATS = ("pcm", *_CODECS)


@dataclass(frozen=True)
class Sent:
    """A recording as it is uploaded; `config` is the first message."""

    config: bytes
    content: bytes
    seconds: float


def recording(kind: str, seconds: float) -> Sent:
    """One of FORMATS, mono, at SAMPLE_RATE."""
    noise = np.random.default_rng(0).integers(-3000, 3000, round(seconds * SAMPLE_RATE), dtype=np.int16)
    if kind == "pcm":
        return Sent(_config(pcm=PCM), noise.tobytes(), seconds)
    return Sent(_config(), _encoded(noise, kind), seconds)


def broken(seconds: float) -> Sent:
    """Half of a WAV file, which the gateway takes for what it is: INVALID_ARGUMENT."""
    whole = recording("wav", seconds)
    return Sent(whole.config, whole.content[: len(whole.content) // 2], seconds)


def _config(pcm: audio_pb2.PcmFormat | None = None) -> bytes:
    return gateway_pb2.TranscribeRequest(config=configuration(pcm=pcm)).SerializeToString()


def _encoded(samples: "np.ndarray[tuple[int], np.dtype[np.int16]]", kind: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream: Any = container.add_stream(_CODECS[kind], rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
