"""How long a recording takes, seen from where its bytes come in and where its events go out."""

import time
from collections.abc import AsyncIterator, Callable, Mapping

from gateway.answer import Send
from serving.times import seconds
from speech.gateway.v1 import gateway_pb2

_STAGES: dict[int, str] = {gateway_pb2.STAGE_ASR: "asr", gateway_pb2.STAGE_DIARIZATION: "diarization"}


def stage_name(stage: int) -> str:
    """As metrics call it."""
    return _STAGES[stage]


class Measured:
    """One recording's times. None and nothing where it has not come so far."""

    def __init__(self, received: Callable[[int], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`received` is told how many bytes came, as they come."""
        self._received = received
        self._clock = clock
        self._first_byte: float | None = None
        self._last_byte = 0.0
        self.first_segment_seconds: float | None = None
        """From the first byte to the first segment sent."""
        self.completion_seconds: float | None = None
        """From the last byte to the last event."""
        self.real_time_factors: Mapping[str, float] = {}
        """By stage, and of the whole recording."""
        self.is_partial = False

    async def chunks(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The upload, on its way in."""
        async for chunk in chunks:
            self._last_byte = self._clock()
            if self._first_byte is None:
                self._first_byte = self._last_byte
            self._received(len(chunk))
            yield chunk

    def watched(self, send: Send, *, final_only: bool) -> Send:
        """Events, on their way out; who wants final segments only chose to wait for the first."""

        async def watch(event: gateway_pb2.TranscribeResponse) -> None:
            if event.HasField("segment"):
                if self.first_segment_seconds is None and not final_only:
                    self.first_segment_seconds = self._since_first_byte()
            elif event.HasField("completed"):
                self._complete(event.completed)
            await send(event)

        return watch

    def _complete(self, completed: gateway_pb2.TranscriptionCompleted) -> None:
        self.is_partial = completed.partial
        self.completion_seconds = self._clock() - self._last_byte
        factors = {
            stage_name(stage.stage): stage.timing.real_time_factor
            for stage in completed.stages
            if stage.HasField("timing")
        }
        if length := seconds(completed.duration):
            factors["whole"] = self._since_first_byte() / length
        self.real_time_factors = factors

    def _since_first_byte(self) -> float:
        now = self._clock()
        return now - (now if self._first_byte is None else self._first_byte)
