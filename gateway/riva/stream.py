"""The gateway's events as the responses of StreamingRecognize."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from riva.client.proto.riva_asr_pb2 import StreamingRecognitionResult, StreamingRecognizeResponse
from riva.client.proto.riva_common_pb2 import RequestId

from gateway.riva.results import Rendering
from serving.times import seconds
from speech.gateway.v1 import gateway_pb2

Write: TypeAlias = Callable[[StreamingRecognizeResponse], Awaitable[None]]

# How much of what is not final an interim result repeats, so that it does not grow with the recording.
_INTERIM_SECONDS = 30.0


class Responses:
    """Answers with a final result once neither words nor speakers of a segment can change any more, in order of time.

    Interim ones tell all that is not final yet, or the end of it. Where no speakers are asked for, nobody waits for them.
    """

    def __init__(self, rendering: Rendering, request_id: str, write: Write) -> None:
        self._rendering = rendering
        self._id = RequestId(value=request_id)
        self._write = write
        self._processed = 0.0
        # By id, as far as interim results tell of them.
        self._pending: dict[str, gateway_pb2.Segment] = {}
        self._shown: list[StreamingRecognitionResult] = []

    async def add(self, event: gateway_pb2.TranscribeResponse) -> None:
        if event.progress.stage == gateway_pb2.STAGE_ASR:
            self._processed = seconds(event.progress.processed)
        if event.HasField("segment"):
            await self._add_segment(event.segment)

    async def _add_segment(self, segment: gateway_pb2.Segment) -> None:
        for replaced in (segment.segment_id, *segment.supersedes):
            self._pending.pop(replaced, None)
        if segment.speaker_final:
            await self._send(self._rendering.streamed([segment], self._processed))
        else:
            self._pending[segment.segment_id] = segment
            await self._send_interim()

    async def _send_interim(self) -> None:
        latest = sorted(self._pending.values(), key=_start)
        since = seconds(latest[-1].span.end) - _INTERIM_SECONDS
        self._pending = {
            segment.segment_id: segment for segment in latest if seconds(segment.span.end) > since
        }
        results = self._rendering.streamed(list(self._pending.values()), self._processed)
        if results != self._shown:
            self._shown = results
            await self._send(results)

    async def _send(self, results: list[StreamingRecognitionResult]) -> None:
        if results:
            await self._write(StreamingRecognizeResponse(results=results, id=self._id))


def _start(segment: gateway_pb2.Segment) -> int:
    return segment.span.start.ToNanoseconds()
