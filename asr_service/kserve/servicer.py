"""The calls of inference.GRPCInferenceService."""

import asyncio
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from asr_service.config import AsrConfig
from asr_service.kserve.inference import Inference
from asr_service.kserve.model import VERSION, metadata, model_config, statistics
from asr_service.kserve.refusals import Refusals
from asr_service.recognizer import Recognizer
from serving import logs
from serving.audio import Decoder
from serving.errors import DuoscribeError, IdleTooLong, InvalidConfig, NotFound
from serving.health import takes_recordings
from serving.interceptors import uploading
from serving.status import most_telling

_Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_log = logs.get_logger(__name__)


class KServeServicer(Refusals):
    """`recognizer` gives what is loaded, and raises Loading before."""

    def __init__(self, config: AsrConfig, recognizer: Callable[[], Recognizer], decoder: Decoder) -> None:
        self._config = config
        self._recognizer = recognizer
        self._inference = Inference(config, decoder)

    def register(self, server: grpc.aio.Server) -> None:
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, server)

    async def ServerLive(
        self, request: service_pb2.ServerLiveRequest, context: _Context
    ) -> service_pb2.ServerLiveResponse:
        return service_pb2.ServerLiveResponse(live=True)

    async def ServerReady(
        self, request: service_pb2.ServerReadyRequest, context: _Context
    ) -> service_pb2.ServerReadyResponse:
        return service_pb2.ServerReadyResponse(ready=takes_recordings.get())

    async def ModelReady(
        self, request: service_pb2.ModelReadyRequest, context: _Context
    ) -> service_pb2.ModelReadyResponse:
        ready = takes_recordings.get() and self._serves(request.name, request.version)
        return service_pb2.ModelReadyResponse(ready=ready)

    async def ServerMetadata(
        self, request: service_pb2.ServerMetadataRequest, context: _Context
    ) -> service_pb2.ServerMetadataResponse:
        return service_pb2.ServerMetadataResponse(
            name="duoscribe", version=version("duoscribe"), extensions=["model_configuration", "statistics"]
        )

    async def ModelMetadata(
        self, request: service_pb2.ModelMetadataRequest, context: _Context
    ) -> service_pb2.ModelMetadataResponse:
        self._check_model(request.name, request.version, "name", "version")
        return metadata(request.name)

    async def ModelConfig(
        self, request: service_pb2.ModelConfigRequest, context: _Context
    ) -> service_pb2.ModelConfigResponse:
        self._check_model(request.name, request.version, "name", "version")
        return service_pb2.ModelConfigResponse(config=model_config(request.name, self._recognizer()))

    async def ModelStatistics(
        self, request: service_pb2.ModelStatisticsRequest, context: _Context
    ) -> service_pb2.ModelStatisticsResponse:
        name = request.name or self._names()[0]
        self._check_model(name, request.version, "name", "version")
        counted = self._recognizer().metrics.statistics
        return service_pb2.ModelStatisticsResponse(model_stats=[statistics(name, counted)])

    async def RepositoryIndex(
        self, request: service_pb2.RepositoryIndexRequest, context: _Context
    ) -> service_pb2.RepositoryIndexResponse:
        if request.repository_name:
            raise InvalidConfig(
                "repository_name is not supported: there is one repository, without a name",
                field="repository_name",
            )
        models = [
            service_pb2.RepositoryIndexResponse.ModelIndex(name=name, version=VERSION, state="READY")
            for name in self._names()
        ]
        return service_pb2.RepositoryIndexResponse(models=models)

    @uploading
    async def ModelInfer(
        self, request: service_pb2.ModelInferRequest, context: _Context
    ) -> service_pb2.ModelInferResponse:
        self._check_model(request.model_name, request.model_version, "model_name", "model_version")
        return await self._inference.infer(request, self._recognizer())

    async def ModelStreamInfer(
        self, request_iterator: AsyncIterator[service_pb2.ModelInferRequest], context: _Context
    ) -> None:
        """One request after the other, as a stream has one place. A request that fails does not end it."""
        while (request := await self._next(request_iterator)) is not None:
            await context.write(await self._streamed(request))

    async def _next(
        self, requests: AsyncIterator[service_pb2.ModelInferRequest]
    ) -> service_pb2.ModelInferRequest | None:
        try:
            async with asyncio.timeout(self._config.max_idle_seconds):
                return await anext(requests, None)
        except TimeoutError:
            raise IdleTooLong(
                f"no request came for {self._config.max_idle_seconds:g} s; open another stream for the next one"
            ) from None

    async def _streamed(self, request: service_pb2.ModelInferRequest) -> service_pb2.ModelStreamInferResponse:
        try:
            self._check_model(request.model_name, request.model_version, "model_name", "model_version")
            answer = await self._inference.infer(request, self._recognizer(), streamed=True)
        except Exception as error:
            told = most_telling(error)
            if not isinstance(told, DuoscribeError):
                raise
            _log.info("a request of a stream failed", reason=told.message)
            return service_pb2.ModelStreamInferResponse(
                error_message=told.message, infer_response=service_pb2.ModelInferResponse(id=request.id)
            )
        answer.parameters["triton_final_response"].bool_param = True
        return service_pb2.ModelStreamInferResponse(infer_response=answer)

    def _names(self) -> tuple[str, ...]:
        """Its own first; of a folder the last part."""
        own = Path(self._recognizer().models.infos[0].name).name
        return tuple(dict.fromkeys((own, *self._config.kserve_name)))

    def _serves(self, name: str, wanted: str) -> bool:
        return name in self._names() and wanted in {"", VERSION}

    def _check_model(self, name: str, wanted: str, name_field: str, version_field: str) -> None:
        if name not in self._names():
            raise NotFound(
                f"{name_field} is {name[:64]!r}; the model is called {', '.join(self._names())}",
                field=name_field,
            )
        if not self._serves(name, wanted):
            raise NotFound(
                f"{version_field} is {wanted[:64]!r}; there is version {VERSION} alone", field=version_field
            )
