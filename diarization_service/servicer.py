"""The contract's door: an upload is decoded and parked, waits for a worker, and is answered."""

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Any

import grpc

from diarization_service.parking import ParkedAudio, parked_audio
from diarization_service.pool import WorkerPool
from diarization_service.telling import Teller
from serving import logs
from serving.audio import open_recording
from serving.config import ServerConfig
from serving.speakers import speaker_bounds
from serving.times import SAMPLE_RATE, duration, samples_to_duration
from serving.upload import Upload
from speech.audio.v1.audio_pb2 import ModelInfo
from speech.diarization.v1.diarization_pb2 import (
    DIARIZATION_STEP_WAITING,
    DescribeDiarizationRequest,
    DescribeDiarizationResponse,
    DiarizationCompleted,
    DiarizationConfig,
    DiarizationProgress,
    DiarizationStarted,
    DiarizeRequest,
    DiarizeResponse,
)
from speech.diarization.v1.diarization_pb2_grpc import SpeakerDiarizationServicer

# How often a caller hears how much of the upload has been received, in seconds.
_WAITING_INTERVAL = 0.5
# How long a caller may hear nothing while a recording waits for a worker or is computed, in seconds.
_REPEAT_INTERVAL = 10.0

Context = grpc.aio.ServicerContext[Any, Any]

_log = logs.get_logger(__name__)


class DiarizationServicer(SpeakerDiarizationServicer):
    """Speaks the contract; the workers of `pool` do the work.

    `description` is told once the models are loaded; before that no call is let in.
    """

    def __init__(
        self,
        config: ServerConfig,
        pool: WorkerPool,
        clock: Callable[[], float] = time.monotonic,
        repeat_interval: float = _REPEAT_INTERVAL,
    ) -> None:
        self._config = config
        self._pool = pool
        self._clock = clock
        self._repeat_interval = repeat_interval
        self.description = DescribeDiarizationResponse()

    # A coroutine that writes, where the generated base class expects an iterator.
    async def Diarize(  # type: ignore[override]
        self, request_iterator: AsyncIterator[DiarizeRequest], context: Context
    ) -> None:
        started = self._clock()
        upload = await Upload.open(request_iterator, context, self._config)
        speaker_bounds(upload.config.speakers)
        await context.write(_started(upload.request_id, self.description.models))
        teller = Teller(context.write, self._repeat_interval)
        async with parked_audio() as audio:
            await self._receive(upload, audio, teller)
            config = DiarizationConfig(request_id=upload.request_id, speakers=upload.config.speakers)
            answer = await teller.during(self._compute(config, audio, teller))
            samples = audio.samples
        for response in answer:
            if response.HasField("completed"):
                _complete_timing(response.completed, samples, self._clock() - started)
                _log_completed(response.completed)
            await context.write(response)

    async def DescribeDiarization(
        self, request: DescribeDiarizationRequest, context: Context
    ) -> DescribeDiarizationResponse:
        del request, context
        return self.description

    async def _receive(self, upload: Upload[DiarizationConfig], audio: ParkedAudio, teller: Teller) -> None:
        """Decode the upload to its end, saying now and then how much there is."""
        told = self._clock()
        async with open_recording(
            upload.config.audio_format, upload.chunks(), max_seconds=self._config.max_audio_seconds
        ) as recording:
            async for block in recording.blocks():
                await audio.write(block.tobytes())
                if self._clock() - told >= _WAITING_INTERVAL:
                    told = self._clock()
                    await teller.tell(_waiting(audio.samples))
        await teller.tell(_waiting(audio.samples))

    async def _compute(
        self, config: DiarizationConfig, audio: ParkedAudio, teller: Teller
    ) -> list[DiarizeResponse]:
        """Pass progress on as it comes; the answer, kept back so that a slow reader does not hold the worker."""
        answer = []
        async with (
            self._pool.worker() as worker,
            aclosing(worker.diarize(config, audio.read())) as responses,
        ):
            async for response in responses:
                if not response.HasField("progress"):
                    answer.append(response)
                    continue
                response.progress.received.CopyFrom(samples_to_duration(audio.samples))
                await teller.tell(response)
        return answer


def _started(request_id: str, models: Iterable[ModelInfo]) -> DiarizeResponse:
    return DiarizeResponse(started=DiarizationStarted(request_id=request_id, models=models))


def _waiting(samples: int) -> DiarizeResponse:
    return DiarizeResponse(
        progress=DiarizationProgress(received=samples_to_duration(samples), step=DIARIZATION_STEP_WAITING)
    )


def _complete_timing(completed: DiarizationCompleted, samples: int, wall_seconds: float) -> None:
    """The worker knows how long it computed, the service how long the call took."""
    completed.timing.wall_duration.CopyFrom(duration(wall_seconds))
    completed.timing.real_time_factor = wall_seconds * SAMPLE_RATE / samples if samples else 0.0


def _log_completed(completed: DiarizationCompleted) -> None:
    timing = completed.timing
    _log.info(
        "diarized",
        audio_seconds=round(timing.audio_duration.ToTimedelta().total_seconds(), 3),
        compute_seconds=round(timing.compute_duration.ToTimedelta().total_seconds(), 3),
        real_time_factor=round(timing.real_time_factor, 3),
        speakers=len(completed.speakers),
        turns=completed.turns,
    )
