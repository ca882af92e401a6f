"""The contract's door: an upload is decoded and passed to a worker as fast as it takes it, and answered meanwhile."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc

from diarization_service.call import Call
from diarization_service.metrics import DiarizationMetrics
from diarization_service.pool import Slot, WorkerPool
from diarization_service.telling import Teller
from serving import logs, tracing
from serving.audio import Bounds, Decoder, open_recording
from serving.config import ServerConfig
from serving.models.roles import EMBEDDING
from serving.speakers import speaker_bounds
from serving.times import seconds
from serving.upload import Upload
from speech.audio.v1.audio_pb2 import ModelInfo
from speech.diarization.v1.diarization_pb2 import (
    DescribeDiarizationRequest,
    DescribeDiarizationResponse,
    DiarizationCompleted,
    DiarizationConfig,
    DiarizationStarted,
    DiarizeRequest,
    DiarizeResponse,
)
from speech.diarization.v1.diarization_pb2_grpc import SpeakerDiarizationServicer

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
        metrics: DiarizationMetrics,
        decoder: Decoder,
        repeat_interval: float = _REPEAT_INTERVAL,
    ) -> None:
        self._config = config
        self._pool = pool
        self._metrics = metrics
        self._decoder = decoder
        self._repeat_interval = repeat_interval
        self.description = DescribeDiarizationResponse()

    # A coroutine that writes, where the generated base class expects an iterator.
    async def Diarize(  # type: ignore[override]
        self, request_iterator: AsyncIterator[DiarizeRequest], context: Context
    ) -> None:
        upload = await Upload.open(request_iterator, context, self._config)
        speaker_bounds(upload.config.speakers)
        tracing.describe(models=tracing.model_names(self.description.models))
        with self._pool.place() as slot:
            await context.write(_started(upload.request_id, self.description.models))
            teller = Teller(context.write, self._repeat_interval)
            call = Call(teller)
            await call.tell_received()
            completed = await teller.during(self._diarize(upload, slot, call))
        self._complete(completed)
        await context.write(DiarizeResponse(completed=completed))

    async def DescribeDiarization(
        self, request: DescribeDiarizationRequest, context: Context
    ) -> DescribeDiarizationResponse:
        del request, context
        return self.description

    async def _diarize(
        self, upload: Upload[DiarizationConfig], slot: Slot, call: Call
    ) -> DiarizationCompleted:
        config = DiarizationConfig(
            request_id=upload.request_id,
            speakers=upload.config.speakers,
            speaker_embeddings=upload.config.speaker_embeddings,
        )
        async with (
            open_recording(
                upload.config.audio_format,
                upload.chunks(),
                decoder=self._decoder,
                bounds=Bounds.of(self._config),
            ) as recording,
            (await slot.worker()).recording(config) as exchange,
        ):
            return await call.run(recording.blocks(), exchange)

    def _complete(self, completed: DiarizationCompleted) -> None:
        """Names the model that embeddings are of, and counts."""
        fingerprint = next(
            (model.fingerprint for model in self.description.models if model.role == EMBEDDING.name), ""
        )
        for voice in completed.voices:
            voice.model_fingerprint = fingerprint
        timing = completed.timing
        self._metrics.diarized(seconds(timing.audio_duration), seconds(timing.wall_duration))
        _tell_completed(completed)


def _started(request_id: str, models: Iterable[ModelInfo]) -> DiarizeResponse:
    return DiarizeResponse(started=DiarizationStarted(request_id=request_id, models=models))


def _tell_completed(completed: DiarizationCompleted) -> None:
    timing = completed.timing
    summary = {
        "audio_seconds": round(seconds(timing.audio_duration), 3),
        "compute_seconds": round(seconds(timing.compute_duration), 3),
        "real_time_factor": round(timing.real_time_factor, 3),
        "speakers": len(completed.speakers),
        "turns": completed.turns,
    }
    tracing.describe(**summary)
    _log.info("diarized", **summary)
