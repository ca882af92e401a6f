"""The gRPC face of speech recognition."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from asr_service.config import AsrConfig
from asr_service.engines.base import EngineInfo
from asr_service.listening import Listener
from asr_service.loading import LoadedModels, cut_options, scheduling_limits
from asr_service.metrics import AsrMetrics
from asr_service.scheduler import Scheduler
from asr_service.session import Session
from asr_service.utterances import UtteranceCutter
from serving import logs, tracing
from serving.admission import Line
from serving.audio import Bounds, Decoder, open_recording
from serving.audio.metrics import DecoderMetrics
from serving.cores import cores
from serving.errors import InvalidConfig, Loading
from serving.limits import service_limits
from serving.times import duration
from serving.upload import Upload
from speech.asr.v1 import asr_pb2, asr_pb2_grpc

_Context = grpc.aio.ServicerContext[Any, Any]

# Voice activity detection takes 4 ms for a second of audio. Where the engine needs the cores, two threads of it are plenty.
_EARS_BESIDE_A_CPU_ENGINE = 2

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class _Ready:
    models: LoadedModels
    scheduler: Scheduler
    ears: ThreadPoolExecutor


class RecognitionService(asr_pb2_grpc.SpeechRecognitionServicer):
    """Serves `load()`'s models; `load` is called once, in a thread, and may raise ModelUnavailable.

    Its metrics go to `registry`.
    """

    names = (asr_pb2.DESCRIPTOR.services_by_name["SpeechRecognition"].full_name,)

    def __init__(
        self,
        config: AsrConfig,
        load: Callable[[], LoadedModels],
        registry: CollectorRegistry,
        decoder: Decoder | None = None,
    ) -> None:
        self._config = config
        self._load = load
        self._metrics = AsrMetrics(registry)
        self._decoder = decoder or Decoder(ended_early=DecoderMetrics(registry).ended_early)
        self._ready: _Ready | None = None

    @property
    def line(self) -> Line:
        """Utterances that wait or are being decoded."""
        return Line(self._wait, self._config.max_wait_seconds)

    def register(self, server: grpc.aio.Server) -> None:
        asr_pb2_grpc.add_SpeechRecognitionServicer_to_server(self, server)

    async def start(self) -> None:
        await self._decoder.start()
        models = await asyncio.to_thread(self._load)
        info = models.engine.info
        limits = scheduling_limits(self._config, info)
        scheduler = Scheduler(models.engine, limits, self._metrics)
        scheduler.start()
        ears = ThreadPoolExecutor(ears_beside(info), thread_name_prefix="ears")
        self._ready = _Ready(models, scheduler, ears)
        _log.info(
            "recognition is loaded",
            engine=info.engine,
            provider=info.provider,
            reason=info.provider_reason,
            max_batch=limits.max_batch,
            parallel=limits.parallel,
        )

    async def close(self) -> None:
        if self._ready:
            await self._ready.scheduler.close()
            self._ready.ears.shutdown(wait=False, cancel_futures=True)
        await self._decoder.close()

    async def Recognize(  # type: ignore[override]  # grpc.aio takes coroutines that write, too
        self, request_iterator: AsyncIterator[asr_pb2.RecognizeRequest], context: _Context
    ) -> None:
        ready = self._loaded()
        upload = await Upload[asr_pb2.RecognitionConfig].open(request_iterator, context, self._config)
        language = known_language(upload.config.language, ready.models.engine.info)
        bounds = Bounds.of(self._config)
        async with (
            # First, since it refuses where the queue is full.
            ready.scheduler.stream() as stream,
            open_recording(
                upload.config.audio_format, upload.chunks(), decoder=self._decoder, bounds=bounds
            ) as recording,
        ):
            tracing.describe(models=tracing.model_names(ready.models.infos))
            started = asr_pb2.RecognitionStarted(request_id=upload.request_id, models=ready.models.infos)
            await context.write(asr_pb2.RecognizeResponse(started=started))
            listener = await asyncio.get_running_loop().run_in_executor(
                ready.ears, self._listener, ready.models
            )
            session = Session(ready.models.engine.info, language, listener, stream, ready.ears, context.write)
            await session.run(recording.blocks())
        summary = session.summary()
        self._metrics.recognised(summary["audio_seconds"], summary["wall_seconds"])
        tracing.describe(**summary)
        _log.info("recognised", **summary)

    async def DescribeRecognition(
        self,
        request: asr_pb2.DescribeRecognitionRequest,  # noqa: ARG002
        context: _Context,  # noqa: ARG002
    ) -> asr_pb2.DescribeRecognitionResponse:
        models = self._loaded().models
        info = models.engine.info
        return asr_pb2.DescribeRecognitionResponse(
            models=models.infos,
            family=info.family,
            languages=info.languages,
            word_timing=asr_pb2.WORD_TIMING_MEASURED if info.measures_time else asr_pb2.WORD_TIMING_ESTIMATED,
            word_confidence=info.has_confidence,
            max_utterance_duration=duration(cut_options(self._config, info).longest),
            limits=service_limits(self._config),
            max_batch=scheduling_limits(self._config, info).max_batch,
            provider_reason=info.provider_reason,
        )

    def _wait(self) -> float:
        return self._ready.scheduler.wait() if self._ready else 0.0

    def _loaded(self) -> _Ready:
        if self._ready is None:
            raise Loading("the models are still loading; try again shortly, or another replica")
        return self._ready

    def _listener(self, models: LoadedModels) -> Listener:
        return Listener(models.detector(), UtteranceCutter(cut_options(self._config, models.engine.info)))


def ears_beside(info: EngineInfo) -> int:
    """Threads that listen."""
    return _EARS_BESIDE_A_CPU_ENGINE if info.provider == "cpu" else cores()


def known_language(tag: str, info: EngineInfo) -> str | None:
    """The model's name for a BCP-47 tag: itself, or its primary subtag ("en" for "en-GB"); None lets the model decide.

    A model that does not say what it knows is believed to know it. Raises InvalidConfig.
    """
    if not tag or not info.languages:
        return None
    known = {language.lower(): language for language in info.languages}
    wanted = tag.lower().replace("_", "-")
    for candidate in (wanted, wanted.partition("-")[0]):
        if candidate in known:
            return known[candidate]
    shown = ", ".join(info.languages[:12]) + (", …" if len(info.languages) > 12 else "")
    raise InvalidConfig(
        f"the model does not know the language {tag[:32]!r}, only {shown}; leave the field empty to let it decide",
        field="config.language",
    )
