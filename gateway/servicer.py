"""The gRPC face of the gateway."""

from collections.abc import AsyncIterator

import grpc
from prometheus_client import CollectorRegistry

from gateway.config import GatewayConfig
from gateway.riva import riva_service
from gateway.transcriber import Context, Transcriber
from gateway.transcript import Transcript
from gateway.unread import while_taken
from serving.audio import Decoder
from serving.limits import service_limits
from serving.upload import Upload
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc


class TranscriptionService(gateway_pb2_grpc.TranscriptionServicer):
    """Serves speech.gateway.v1 with the backends that the configuration names, and beside it Riva's, where its messages are.

    It is healthy as long as it runs: whether backends are is their own health's business, and DescribeTranscription's.
    Its metrics go to `registry`.
    """

    def __init__(
        self, config: GatewayConfig, registry: CollectorRegistry, decoder: Decoder | None = None
    ) -> None:
        self._config = config
        self._transcriber = Transcriber(config, registry, decoder)
        self._riva = riva_service(self._transcriber, config)

    @property
    def names(self) -> tuple[str, ...]:
        own = gateway_pb2.DESCRIPTOR.services_by_name["Transcription"].full_name
        return (own, self._riva.name) if self._riva else (own,)

    def register(self, server: grpc.aio.Server) -> None:
        gateway_pb2_grpc.add_TranscriptionServicer_to_server(self, server)
        if self._riva:
            self._riva.register(server)

    async def start(self) -> None:
        await self._transcriber.start()

    async def close(self) -> None:
        await self._transcriber.close()

    async def Transcribe(  # type: ignore[override]
        self, request_iterator: AsyncIterator[gateway_pb2.TranscribeRequest], context: Context
    ) -> None:
        upload = await Upload[gateway_pb2.TranscriptionConfig].open(request_iterator, context, self._config)
        with while_taken(context.write, self._config.max_idle_seconds) as send:
            await self._transcriber.transcribe(upload, context, send)

    async def TranscribeFile(
        self, request_iterator: AsyncIterator[gateway_pb2.TranscribeFileRequest], context: Context
    ) -> gateway_pb2.TranscribeFileResponse:
        upload = await Upload[gateway_pb2.TranscriptionConfig].open(request_iterator, context, self._config)
        upload.config.results.final_only = upload.config.results.omit_progress = True
        transcript = Transcript()

        async def keep(event: gateway_pb2.TranscribeResponse) -> None:
            transcript.apply(event)

        await self._transcriber.transcribe(upload, context, keep)
        return gateway_pb2.TranscribeFileResponse(
            request_id=upload.request_id,
            recording=transcript.started.recording if transcript.started else None,
            segments=transcript.segments,
            completed=transcript.completed,
        )

    async def DescribeTranscription(
        self,
        request: gateway_pb2.DescribeTranscriptionRequest,  # noqa: ARG002
        context: Context,
    ) -> gateway_pb2.DescribeTranscriptionResponse:
        asr, diarization = await self._transcriber.describe(context)
        return gateway_pb2.DescribeTranscriptionResponse(
            asr=asr, diarization=diarization, limits=service_limits(self._config)
        )
