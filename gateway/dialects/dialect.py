"""What every dialect can do."""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from gateway.reports import Result, Stage
from serving.times import SAMPLE_RATE
from speech.audio.v1 import audio_pb2

ResponseT_contra = TypeVar("ResponseT_contra", contravariant=True)
RequestT_co = TypeVar("RequestT_co", covariant=True)

# Behind the gateway's decoder all audio is the same.
PCM = audio_pb2.AudioFormat(
    pcm=audio_pb2.PcmFormat(encoding=audio_pb2.PCM_ENCODING_S16LE, sample_rate_hz=SAMPLE_RATE, channels=1)
)


class Dialect(Protocol[RequestT_co, ResponseT_contra]):
    """How to speak with one kind of backend."""

    @property
    def stage(self) -> Stage: ...

    @property
    def name(self) -> str:
        """What callers know the stage as."""

    @property
    def method(self) -> str:
        """The contract's call, "package.Service/Method"."""

    def config(self) -> RequestT_co: ...

    def audio(self, pcm: bytes) -> RequestT_co: ...

    def end(self) -> RequestT_co: ...

    def restart(self) -> None:
        """Answers from here on are another call's, from the start of the recording."""

    def results(self, response: ResponseT_contra) -> Iterator[Result]:
        """What is new in an answer. Raises Garbled."""
