"""What the server runs: loads the workers and offers the servicer."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import grpc
from prometheus_client import CollectorRegistry

from diarization_service.config import Config, WorkerConfig
from diarization_service.line import Lines
from diarization_service.metrics import DiarizationMetrics
from diarization_service.pool import Spawn, WorkerPool
from diarization_service.process import Worker, WorkerProcess, worker_command, worker_environment
from diarization_service.reports import Report
from diarization_service.servicer import DiarizationServicer
from serving.admission import Line
from serving.audio import Decoder
from serving.audio.metrics import DecoderMetrics
from serving.limits import service_limits
from serving.models import ModelStore
from serving.models.roles import EMBEDDING, SEGMENTATION
from speech.audio.v1.audio_pb2 import ModelInfo
from speech.diarization.v1.diarization_pb2 import DescribeDiarizationResponse
from speech.diarization.v1.diarization_pb2_grpc import add_SpeakerDiarizationServicer_to_server

Models = Callable[[], Sequence[ModelInfo]]


class DiarizationService:
    """`spawn` starts the worker of a number, which reports to `metrics` and `lines`; `models` says what it was given to load."""

    names = ("speech.diarization.v1.SpeakerDiarization",)

    def __init__(
        self,
        config: Config,
        *,
        spawn: Spawn,
        models: Models,
        metrics: DiarizationMetrics,
        lines: Lines,
        decoder: Decoder | None = None,
    ) -> None:
        self._config = config
        self._lines = lines
        self._models = models
        self._pool = WorkerPool(spawn, metrics, size=len(config.devices), recordings=config.recordings)
        self._decoder = decoder or Decoder()
        self._servicer = DiarizationServicer(config, self._pool, metrics, self._decoder)

    @classmethod
    def of(cls, config: Config, store: ModelStore, registry: CollectorRegistry) -> "DiarizationService":
        """The service as it is deployed: its workers are processes, its models come from `store`, its metrics go to `registry`."""
        roles = {SEGMENTATION.name: config.segmentation_model, EMBEDDING.name: config.embedding_model}
        metrics, lines = DiarizationMetrics(registry), Lines()

        async def spawn(number: int) -> Worker:
            return await WorkerProcess.start(
                *worker_command(worker_config(config, store, config.devices[number])),
                environment=worker_environment(),
                cancel_grace_seconds=config.cancel_grace_seconds,
                report=partial(to_both, metrics, lines, number),
            )

        return cls(
            config,
            spawn=spawn,
            metrics=metrics,
            lines=lines,
            decoder=Decoder(ended_early=DecoderMetrics(registry).ended_early),
            models=lambda: [store.info(name, role=role) for role, name in roles.items()],
        )

    @property
    def line(self) -> Line:
        """Windows and blocks that wait for the networks."""
        return Line(lambda: self._pool.wait(self._lines.wait), self._config.max_wait_seconds)

    def register(self, server: grpc.aio.Server) -> None:
        add_SpeakerDiarizationServicer_to_server(self._servicer, server)

    async def start(self) -> None:
        """Raises ModelUnavailable before a worker is started, Unavailable where one does not come up."""
        models = await asyncio.to_thread(self._models)
        await self._decoder.start()
        description = await self._pool.start()
        self._servicer.description = _described(description, models, self._config)

    async def close(self) -> None:
        await self._pool.close()
        await self._decoder.close()


def to_both(metrics: DiarizationMetrics, lines: Lines, worker: int, report: Report) -> None:
    """What a worker reports is counted, and tells how long others wait."""
    metrics.reported(worker, report)
    lines.reported(worker, report)


def worker_config(config: Config, store: ModelStore, device: str) -> WorkerConfig:
    """What a worker on this device is started with. Raises ModelUnavailable."""
    return WorkerConfig(
        segmentation=str(store.path(config.segmentation_model)),
        embedding=str(store.path(config.embedding_model)),
        device=device,
        mode=config.mode,
        precision=config.precision,
        threads=config.threads,
        segmentation_batch_size=config.segmentation_batch_size,
        embedding_batch_size=config.embedding_batch_size,
        log_level=config.log_level,
        log_format=config.log_format,
    )


def _described(
    loaded: DescribeDiarizationResponse, models: Sequence[ModelInfo], config: Config
) -> DescribeDiarizationResponse:
    """What the workers say (engine, provider, resolution), the store (name, fingerprint) and the configuration (limits)."""
    described = DescribeDiarizationResponse()
    described.CopyFrom(loaded)
    stored = {model.role: model for model in models}
    for model in described.models:
        model.MergeFrom(stored[model.role])
    described.limits.CopyFrom(service_limits(config))
    return described
