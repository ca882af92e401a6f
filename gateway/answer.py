"""What is reported within a call, made into the events that its caller gets."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from gateway import replies
from gateway.merge import Merger, Segment, TurnsPatch
from gateway.reports import Ended, Fact, Models, Progress, Retrying, Stage, Uploaded, Words
from serving import tracing
from serving.errors import StageFailed
from speech.audio.v1 import audio_pb2
from speech.gateway.v1 import gateway_pb2

ASR, DIARIZATION = gateway_pb2.STAGE_ASR, gateway_pb2.STAGE_DIARIZATION

# Delivers an event; waits while the caller does not read.
Send = Callable[[gateway_pb2.TranscribeResponse], Awaitable[None]]


class Answer:
    """One call's answer. Feed it with reports, one after the other, until it `is_complete`, then `finish` it.

    Turns are merged in a thread: when those of hours come at once, other calls are not kept waiting.
    """

    def __init__(
        self, merger: Merger, send: Send, *, stages: Sequence[Stage] = (ASR, DIARIZATION), omit_progress: bool
    ) -> None:
        """`stages` are those that will report."""
        self._merger = merger
        self._stages = stages
        self._send = send
        self._omit_progress = omit_progress
        self._recording = audio_pb2.RecordingInfo()
        self._duration: int | None = None
        self._reached: dict[Stage, int] = {}
        self._models: dict[Stage, Models] = {}
        self._ended: dict[Stage, Ended] = {}
        self._segments = 0
        self._words = 0
        self._has_answered = False

    @property
    def is_complete(self) -> bool:
        """Whether the upload and all stages have ended."""
        return self._duration is not None and len(self._ended) == len(self._stages)

    async def start(self, request_id: str, recording: audio_pb2.RecordingInfo) -> None:
        self._recording = recording
        await self._send(replies.started(request_id, recording))

    async def add(self, report: Fact | Progress) -> None:
        """Raises StageFailed where all stages have failed."""
        match report:
            case Progress():
                await self._add_progress(report)
            case Words(words):
                await self._send_segments(self._merger.add_words(words))
            case TurnsPatch():
                await self._send_segments(await asyncio.to_thread(self._merger.patch_turns, report))
                # The last horizon may lie behind the recording's end.
                horizon = report.horizon if self._duration is None else min(report.horizon, self._duration)
                await self._send_progress(DIARIZATION, horizon)
            case Models():
                self._models[report.stage] = report
            case Uploaded(duration):
                self._duration = duration
                await self._send_progress(gateway_pb2.STAGE_UPLOAD, duration, at_end=True)
            case Retrying():
                await self._send(replies.stage_status(report))
            case Ended():
                await self._end_stage(report)

    async def finish(self) -> None:
        """The last event."""
        diarized = self._ended[DIARIZATION].completed if DIARIZATION in self._ended else None
        completed = gateway_pb2.TranscriptionCompleted(
            duration=replies.duration(self._duration or 0),
            speakers=diarized.speakers if diarized else (),
            segments=self._segments,
            words=self._words,
            stages=[replies.summary(self._ended[stage]) for stage in self._stages],
            models=[
                model
                for stage in self._stages
                if stage in self._models
                for model in self._models[stage].models
            ],
            partial=any(ended.completed is None for ended in self._ended.values()),
            turns=replies.turns(self._merger.turns) if diarized else (),
            voices=diarized.voices if diarized else (),
            overlaps=diarized.overlaps if diarized else (),
        )
        tracing.describe(
            segments=self._segments,
            words=self._words,
            speakers=len(completed.speakers),
            partial=completed.partial,
        )
        await self._send(gateway_pb2.TranscribeResponse(completed=completed))

    async def _end_stage(self, ended: Ended) -> None:
        self._ended[ended.stage] = ended
        failed = ended.completed is None
        if len(self._ended) == len(self._stages) and all(
            other.completed is None for other in self._ended.values()
        ):
            raise StageFailed(next(iter(self._ended.values())).status)
        if ended.stage == ASR:
            await self._send_segments(self._merger.end_words())
        else:
            await self._send_segments(await asyncio.to_thread(self._merger.end_turns, failed=failed))
        await self._send(replies.stage_status(ended))
        if not failed and self._duration is not None:
            await self._send_progress(ended.stage, self._duration, at_end=True)

    async def _send_segments(self, segments: Iterable[Segment]) -> None:
        for segment in segments:
            if not self._has_answered:
                self._has_answered = True
                tracing.happened("first segment")
            if segment.speaker_final:
                self._segments += 1
                self._words += len(segment.words)
            await self._send(replies.segment(segment))

    async def _add_progress(self, progress: Progress) -> None:
        if progress.stage == ASR:
            await self._send_segments(self._merger.heard_until(progress.processed))
        if progress.stage not in self._ended:
            processed = progress.processed or round(progress.fraction * (self._duration or 0))
            await self._send_progress(progress.stage, processed)

    async def _send_progress(self, stage: Stage, processed: int, *, at_end: bool = False) -> None:
        """A stage that is called again does not go back; the end is always told, since it brings the total."""
        before = self._reached.get(stage, -1)
        self._reached[stage] = max(before, processed)
        if (processed > before or at_end) and not self._omit_progress:
            await self._send(replies.progress(stage, processed, self._total(stage)))

    def _total(self, stage: Stage) -> int | None:
        """The recording's length; until it is known, an upload's is what the container declares."""
        if self._duration is not None:
            return self._duration
        if stage == gateway_pb2.STAGE_UPLOAD and self._recording.HasField("declared_duration"):
            return self._recording.declared_duration.ToNanoseconds()
        return None
