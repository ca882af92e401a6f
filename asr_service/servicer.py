"""The gRPC face of speech recognition."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from asr_service import kserve
from asr_service.config import AsrConfig
from asr_service.languages import known_language
from asr_service.loading import LoadedModels
from asr_service.metrics import AsrMetrics
from asr_service.recognizer import Recognizer
from serving import logs, tracing
from serving.admission import Line
from serving.audio import Bounds, Decoder, open_recording
from serving.audio.metrics import DecoderMetrics
from serving.errors import Loading
from serving.limits import service_limits
from serving.times import duration
from serving.upload import Upload
from speech.asr.v1 import asr_pb2, asr_pb2_grpc

_Context = grpc.aio.ServicerContext[Any, Any]

_log = logs.get_logger(__name__)


class RecognitionService(asr_pb2_grpc.SpeechRecognitionServicer):
    """Serves `load()`'s models; `load` is called once, in a thread, and may raise ModelUnavailable.

    Its metrics go to `registry`.
    """

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
        self._recognizer: Recognizer | None = None

    @property
    def names(self) -> tuple[str, ...]:
        own = asr_pb2.DESCRIPTOR.services_by_name["SpeechRecognition"].full_name
        return (own, kserve.NAME) if kserve.is_installed() else (own,)

    @property
    def line(self) -> Line:
        """Utterances that wait or are being decoded."""
        return Line(self._wait, self._config.max_wait_seconds)

    def register(self, server: grpc.aio.Server) -> None:
        asr_pb2_grpc.add_SpeechRecognitionServicer_to_server(self, server)
        if kserve.is_installed():
            from asr_service.kserve.servicer import KServeServicer  # noqa: PLC0415 - an extra's

            KServeServicer(self._config, self._loaded, self._decoder).register(server)

    async def start(self) -> None:
        await self._decoder.start()
        models = await asyncio.to_thread(self._load)
        self._recognizer = recognizer = Recognizer.start(models, self._config, self._metrics)
        info = recognizer.info
        _log.info(
            "recognition is loaded",
            engine=info.engine,
            provider=info.provider,
            reason=info.provider_reason,
            max_batch=recognizer.limits.max_batch,
            parallel=recognizer.limits.parallel,
        )

    async def close(self) -> None:
        if self._recognizer:
            await self._recognizer.close()
        await self._decoder.close()

    async def Recognize(  # type: ignore[override]  # grpc.aio takes coroutines that write, too
        self, request_iterator: AsyncIterator[asr_pb2.RecognizeRequest], context: _Context
    ) -> None:
        recognizer = self._loaded()
        upload = await Upload[asr_pb2.RecognitionConfig].open(request_iterator, context, self._config)
        language = known_language(upload.config.language, recognizer.info, field="config.language")
        bounds = Bounds.of(self._config)
        async with (
            # First, since it refuses where the queue is full.
            recognizer.scheduler.stream() as stream,
            open_recording(
                upload.config.audio_format, upload.chunks(), decoder=self._decoder, bounds=bounds
            ) as recording,
        ):
            tracing.describe(models=tracing.model_names(recognizer.models.infos))
            started = asr_pb2.RecognitionStarted(request_id=upload.request_id, models=recognizer.models.infos)
            await context.write(asr_pb2.RecognizeResponse(started=started))
            summary = await recognizer.recognize(recording.blocks(), stream, language, context.write)
        tracing.describe(**summary)
        _log.info("recognised", **summary)

    async def DescribeRecognition(
        self,
        request: asr_pb2.DescribeRecognitionRequest,  # noqa: ARG002
        context: _Context,  # noqa: ARG002
    ) -> asr_pb2.DescribeRecognitionResponse:
        recognizer = self._loaded()
        info = recognizer.info
        return asr_pb2.DescribeRecognitionResponse(
            models=recognizer.models.infos,
            family=info.family,
            languages=info.languages,
            word_timing=asr_pb2.WORD_TIMING_MEASURED if info.measures_time else asr_pb2.WORD_TIMING_ESTIMATED,
            word_confidence=info.has_confidence,
            max_utterance_duration=duration(recognizer.cuts.longest),
            limits=service_limits(self._config),
            max_batch=recognizer.limits.max_batch,
            provider_reason=info.provider_reason,
        )

    def _wait(self) -> float:
        return self._recognizer.scheduler.wait() if self._recognizer else 0.0

    def _loaded(self) -> Recognizer:
        if self._recognizer is None:
            raise Loading("the models are still loading; try again shortly, or another replica")
        return self._recognizer
