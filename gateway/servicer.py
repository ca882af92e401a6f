"""The gRPC face of the gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from gateway.access.account import current_account
from gateway.access.claims import Claims
from gateway.answer import Answer, Send
from gateway.backends import Backends
from gateway.config import GatewayConfig
from gateway.dialects import DiarizationDialect, RecognitionDialect
from gateway.fanout import CallOptions, StageRun
from gateway.inbox import Inbox
from gateway.merge import Merger
from gateway.metrics import GatewayMetrics
from gateway.session import Session
from gateway.spool import Spool
from gateway.transcript import Transcript
from gateway.turns import Turns
from serving.audio import Bounds, Decoder, open_recording
from serving.audio.metrics import DecoderMetrics
from serving.errors import IdleTooLong, Loading
from serving.idle import IdleClock
from serving.limits import service_limits
from serving.speakers import speaker_bounds
from serving.upload import Upload
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc

_Context = grpc.aio.ServicerContext[Any, Any]

# Facts of one recording on their way to a caller who does not read; then the backends have to wait.
_INBOX_SIZE = 32

_DESCRIBE_SECONDS = 5.0


class TranscriptionService(gateway_pb2_grpc.TranscriptionServicer):
    """Serves speech.gateway.v1 with the backends that the configuration names.

    It is healthy as long as it runs: whether backends are is their own health's business, and DescribeTranscription's.
    Its metrics go to `registry`.
    """

    names = (gateway_pb2.DESCRIPTOR.services_by_name["Transcription"].full_name,)

    def __init__(
        self, config: GatewayConfig, registry: CollectorRegistry, decoder: Decoder | None = None
    ) -> None:
        self._config = config
        self._turns = Turns()
        self._registry = registry
        self._metrics = GatewayMetrics(registry)
        self._decoder = decoder or Decoder(
            config.spool_directory, ended_early=DecoderMetrics(registry).ended_early
        )
        self._backends: Backends | None = None
        self._claims = Claims()

    def register(self, server: grpc.aio.Server) -> None:
        gateway_pb2_grpc.add_TranscriptionServicer_to_server(self, server)

    async def start(self) -> None:
        await self._decoder.start()
        self._backends = Backends(self._config, self._registry)

    async def close(self) -> None:
        if self._backends is not None:
            await self._backends.close()
        await self._decoder.close()

    async def Transcribe(  # type: ignore[override]
        self, request_iterator: AsyncIterator[gateway_pb2.TranscribeRequest], context: _Context
    ) -> None:
        upload = await Upload[gateway_pb2.TranscriptionConfig].open(request_iterator, context, self._config)
        seconds = self._config.max_idle_seconds
        with closing(IdleClock(seconds)) as clock:
            send = _while_taken(context.write, clock, seconds)
            await self._transcribe(upload, upload.config.results, context, send)

    async def TranscribeFile(
        self, request_iterator: AsyncIterator[gateway_pb2.TranscribeFileRequest], context: _Context
    ) -> gateway_pb2.TranscribeFileResponse:
        upload = await Upload[gateway_pb2.TranscriptionConfig].open(request_iterator, context, self._config)
        wanted = gateway_pb2.ResultOptions(
            final_only=True, omit_progress=True, accept_partial=upload.config.results.accept_partial
        )
        transcript = Transcript()

        async def keep(event: gateway_pb2.TranscribeResponse) -> None:
            transcript.apply(event)

        await self._transcribe(upload, wanted, context, keep)
        return gateway_pb2.TranscribeFileResponse(
            request_id=upload.request_id,
            recording=transcript.started.recording if transcript.started else None,
            segments=transcript.segments,
            completed=transcript.completed,
        )

    async def DescribeTranscription(
        self,
        request: gateway_pb2.DescribeTranscriptionRequest,  # noqa: ARG002
        context: _Context,
    ) -> gateway_pb2.DescribeTranscriptionResponse:
        remaining = context.time_remaining()
        # Half of what the caller grants leaves time to say that a backend does not answer.
        patience = _DESCRIBE_SECONDS if remaining is None else min(_DESCRIBE_SECONDS, remaining / 2)
        asr, diarization = await self._connected().describe(patience)
        return gateway_pb2.DescribeTranscriptionResponse(
            asr=asr, diarization=diarization, limits=service_limits(self._config)
        )

    async def _transcribe(
        self,
        upload: Upload[gateway_pb2.TranscriptionConfig],
        wanted: gateway_pb2.ResultOptions,
        context: _Context,
        send: Send,
    ) -> None:
        """What both calls share: at most once at a time for a caller's request id.

        One that was made up, or that a proxy sent in the metadata, does not count: within a mesh all calls that serve one
        request of somebody's bear the same.
        """
        async with self._claims.held(current_account().name, upload.config.request_id):
            await self._answer(upload, wanted, context, send)

    async def _answer(
        self,
        upload: Upload[gateway_pb2.TranscriptionConfig],
        wanted: gateway_pb2.ResultOptions,
        context: _Context,
        send: Send,
    ) -> None:
        """Nothing is sent to a backend before the recording was understood."""
        speaker_bounds(upload.config.speakers)
        inbox = Inbox(_INBOX_SIZE)
        with (
            closing(
                Spool(self._config.spool_memory_bytes, self._config.spool_directory, self._turns)
            ) as spool,
            self._metrics.recording(spool, context) as measured,
        ):
            async with open_recording(
                upload.config.audio_format,
                measured.chunks(upload.chunks()),
                decoder=self._decoder,
                bounds=Bounds.of(self._config),
            ) as recording:
                merger = Merger(self._config.merging, final_only=wanted.final_only)
                watched = measured.watched(send, final_only=wanted.final_only)
                answer = Answer(merger, watched, omit_progress=wanted.omit_progress)
                await answer.start(upload.request_id, recording.info)
                session = Session(
                    recording,
                    spool,
                    inbox,
                    accept_partial=wanted.accept_partial,
                    count=current_account().meter(),
                )
                await session.run(self._stages(upload, context, inbox), answer)

    def _stages(
        self, upload: Upload[gateway_pb2.TranscriptionConfig], context: _Context, inbox: Inbox
    ) -> tuple[StageRun[Any, Any, Any], StageRun[Any, Any, Any]]:
        backends, config = self._connected(), upload.config
        options = CallOptions(
            request_id=upload.request_id,
            deadline=_deadline(context),
            silence_seconds=self._config.silence_seconds,
            retries=self._config.retries,
            call_ended=self._metrics.call_ended,
        )
        recognition = RecognitionDialect(upload.request_id, config.language)
        diarization = DiarizationDialect(
            upload.request_id, config.speakers, embeddings=config.results.speaker_embeddings
        )
        return (
            StageRun(recognition, backends.asr.replicas, lambda stub: stub.Recognize, inbox, options),
            StageRun(diarization, backends.diarization.replicas, lambda stub: stub.Diarize, inbox, options),
        )

    def _connected(self) -> Backends:
        if self._backends is None:
            raise Loading("the gateway is starting; try again shortly")
        return self._backends


def _while_taken(write: Send, clock: IdleClock, seconds: float) -> Send:
    """Sends as `write` does; raises IdleTooLong for a caller who takes no event for so long, and would keep its place."""

    async def send(event: gateway_pb2.TranscribeResponse) -> None:
        try:
            with clock:
                await write(event)
        except TimeoutError:
            raise IdleTooLong(f"no event was taken for {seconds:g} s; read them while you upload") from None

    return send


def _deadline(context: _Context) -> float | None:
    """The caller's deadline by the event loop's clock, which the backends' calls get as well."""
    remaining = context.time_remaining()
    return None if remaining is None else asyncio.get_running_loop().time() + remaining
