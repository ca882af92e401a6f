"""One recording's recognition: blocks of samples in, response messages out, both at their own pace."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from asr_service.engines.base import EngineInfo, Speech
from asr_service.jobs import Decoded
from asr_service.listening import Listener
from asr_service.scheduler import Stream
from asr_service.spans import EngineSpans
from asr_service.utterances import Pcm, Utterance
from asr_service.words import Transcript, Word, transcribe
from serving import tracing
from serving.audio import to_float
from serving.times import SAMPLE_RATE, duration, samples_to_duration
from speech.asr.v1 import asr_pb2
from speech.audio.v1 import audio_pb2

_PROGRESS_SECONDS = 1.0
# How long a caller may hear nothing: by this it tells a service that is busy with others from one that hangs.
_REPEAT_SECONDS = 10.0

Send = Callable[[asr_pb2.RecognizeResponse], Awaitable[None]]


@dataclass(frozen=True)
class _Pending:
    utterance: Utterance
    result: "asyncio.Future[Decoded]"


class Session:
    """Listens, decodes and reports at the same time; a slow reader of the results slows the upload down."""

    def __init__(
        self,
        info: EngineInfo,
        language: str | None,
        listener: Listener,
        stream: Stream,
        ears: Executor,
        send: Send,
        *,
        repeat_seconds: float = _REPEAT_SECONDS,
    ) -> None:
        self._info = info
        self._language = language
        self._listener = listener
        self._stream = stream
        self._ears = ears
        self._send_response = send
        self._repeat_seconds = repeat_seconds
        self._sending = asyncio.Lock()
        self._pending: asyncio.Queue[_Pending | None] = asyncio.Queue()
        self._unsent: deque[Utterance] = deque()
        self._heard = 0
        self._undecided_from = 0
        self._started = time.perf_counter()
        self._compute_seconds = 0.0
        self._spans = EngineSpans()
        self._utterances = 0
        self._words = 0

    async def run(self, blocks: AsyncIterator[Pcm]) -> None:
        """Raises an ExceptionGroup of whatever the blocks, the engine or sending raise."""
        try:
            async with asyncio.TaskGroup() as tasks:
                progress = tasks.create_task(self._tell_progress())
                tasks.create_task(self._listen(blocks))
                await self._report()
                # After a write that was cancelled half way, gRPC takes no further one.
                async with self._sending:
                    progress.cancel()
        finally:
            self._spans.record()
        await self._send(asr_pb2.RecognizeResponse(completed=self._completed()))

    def summary(self) -> dict[str, float]:
        """For the log line about a recording that was recognised whole."""
        return {
            "audio_seconds": round(self._listener.heard / SAMPLE_RATE, 3),
            "speech_seconds": round(self._listener.spoken / SAMPLE_RATE, 3),
            "wall_seconds": round(time.perf_counter() - self._started, 3),
            "compute_seconds": round(self._compute_seconds, 3),
            "utterances": self._utterances,
            "words": self._words,
        }

    async def _listen(self, blocks: AsyncIterator[Pcm]) -> None:
        loop = asyncio.get_running_loop()
        with tracing.stage("listen"):
            async for block in blocks:
                await self._submit(await loop.run_in_executor(self._ears, self._listener.hear, block))
            await self._submit(await loop.run_in_executor(self._ears, self._listener.finish))
        self._stream.complete()
        self._pending.put_nowait(None)

    async def _submit(self, utterances: list[Utterance]) -> None:
        # Taken together, between two hops: progress must not run ahead of utterances that wait for room.
        self._unsent.extend(utterances)
        self._heard = self._listener.heard
        self._undecided_from = self._listener.undecided_from
        for utterance in utterances:
            speech = Speech(to_float(utterance.samples), self._language, utterance.voiced)
            self._pending.put_nowait(_Pending(utterance, await self._stream.submit(speech)))

    async def _report(self) -> None:
        while pending := await self._pending.get():
            decoded = await pending.result
            self._compute_seconds += decoded.seconds
            self._spans.add(decoded)
            transcript = transcribe(decoded.recognition, pending.utterance, self._info)
            await self._send(
                asr_pb2.RecognizeResponse(utterance=self._utterance(pending.utterance, transcript))
            )
            self._unsent.popleft()
            self._stream.delivered()

    async def _tell_progress(self) -> None:
        told, told_at = asr_pb2.RecognitionProgress(), time.perf_counter()
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            async with self._sending:
                progress = self._progress()
                if progress != told or time.perf_counter() - told_at >= self._repeat_seconds:
                    await self._send_response(asr_pb2.RecognizeResponse(progress=progress))
                    told, told_at = progress, time.perf_counter()

    def _progress(self) -> asr_pb2.RecognitionProgress:
        processed = self._unsent[0].start if self._unsent else self._undecided_from
        return asr_pb2.RecognitionProgress(
            received=samples_to_duration(self._heard), processed=samples_to_duration(processed)
        )

    async def _send(self, response: asr_pb2.RecognizeResponse) -> None:
        async with self._sending:
            await self._send_response(response)

    def _utterance(self, utterance: Utterance, transcript: Transcript) -> asr_pb2.Utterance:
        index = self._utterances
        self._utterances += 1
        self._words += len(transcript.words)
        return asr_pb2.Utterance(
            index=index,
            span=audio_pb2.TimeSpan(
                start=samples_to_duration(utterance.start), end=samples_to_duration(utterance.end)
            ),
            text=transcript.text,
            words=[_word(word) for word in transcript.words],
        )

    def _completed(self) -> asr_pb2.RecognitionCompleted:
        wall = time.perf_counter() - self._started
        audio = self._listener.heard / SAMPLE_RATE
        return asr_pb2.RecognitionCompleted(
            utterances=self._utterances,
            words=self._words,
            speech_duration=samples_to_duration(self._listener.spoken),
            timing=audio_pb2.StageTiming(
                audio_duration=samples_to_duration(self._listener.heard),
                wall_duration=duration(wall),
                compute_duration=duration(self._compute_seconds),
                real_time_factor=wall / audio if audio else 0.0,
            ),
        )


def _word(word: Word) -> asr_pb2.Word:
    timing = asr_pb2.WORD_TIMING_MEASURED if word.is_measured else asr_pb2.WORD_TIMING_ESTIMATED
    return asr_pb2.Word(
        text=word.text,
        start=duration(word.start),
        end=duration(word.end),
        confidence=word.confidence,
        timing=timing,
    )
