"""What every door of the gateway does with a recording."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any, Protocol, TypeAlias

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
from gateway.merge import Merger, UtteranceMerger
from gateway.metrics import GatewayMetrics
from gateway.session import Session
from gateway.spool import Spool
from gateway.turns import Turns
from serving.audio import Bounds, Decoder, open_recording
from serving.audio.metrics import DecoderMetrics
from serving.errors import InvalidConfig, Loading
from serving.speakers import speaker_bounds
from speech.asr.v1 import asr_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

# Facts of one recording on their way to a caller who does not read; then the backends have to wait.
_INBOX_SIZE = 32

_DESCRIBE_SECONDS = 5.0


class Upload(Protocol):
    """A recording on its way in, and what its caller wants of it."""

    @property
    def config(self) -> gateway_pb2.TranscriptionConfig: ...

    @property
    def request_id(self) -> str:
        """The one of the config, or one that was made up."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes as they arrive, never empty, up to its end. To be gone through once."""


class Transcriber:
    """Transcribes recordings with the backends that the configuration names. Its metrics go to `registry`."""

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

    async def start(self) -> None:
        await self._decoder.start()
        self._backends = Backends(self._config, self._registry)

    async def close(self) -> None:
        if self._backends is not None:
            await self._backends.close()
        await self._decoder.close()

    async def describe(
        self, context: Context
    ) -> tuple[
        asr_pb2.DescribeRecognitionResponse | None, diarization_pb2.DescribeDiarizationResponse | None
    ]:
        """Each backend's description; None where none came in time. Raises Loading."""
        remaining = context.time_remaining()
        # Half of what the caller grants leaves time to say that a backend does not answer.
        patience = _DESCRIBE_SECONDS if remaining is None else min(_DESCRIBE_SECONDS, remaining / 2)
        return await self._connected().describe(patience)

    async def transcribe(self, upload: Upload, context: Context, send: Send) -> None:
        """Send events until the last one.

        At most once at a time for a caller's request id. One that was made up, or that a proxy sent in the metadata, does not
        count: within a mesh all calls that serve one request of somebody's bear the same. Nothing is sent to a backend before
        the recording was understood. Raises DuoscribeError.
        """
        async with self._claims.held(current_account().name, upload.config.request_id):
            await self._answer(upload, context, send)

    async def _answer(self, upload: Upload, context: Context, send: Send) -> None:
        speaker_bounds(upload.config.speakers)
        wanted = upload.config.results
        _check_speakers(upload.config)
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
                runs = self._runs(upload, context, inbox)
                answer = Answer(
                    self._merger(wanted),
                    measured.watched(send, final_only=wanted.final_only),
                    stages=[run.stage for run in runs],
                    omit_progress=wanted.omit_progress,
                )
                await answer.start(upload.request_id, recording.info)
                session = Session(
                    recording,
                    spool,
                    inbox,
                    accept_partial=wanted.accept_partial,
                    count=current_account().meter(),
                )
                await session.run(runs, answer)

    def _merger(self, wanted: gateway_pb2.ResultOptions) -> Merger:
        options = self._config.merging
        if wanted.omit_speakers:
            return UtteranceMerger(options)
        return Merger(options, final_only=wanted.final_only)

    def _runs(self, upload: Upload, context: Context, inbox: Inbox) -> tuple[StageRun[Any, Any, Any], ...]:
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
        runs: tuple[StageRun[Any, Any, Any], ...] = (
            StageRun(recognition, backends.asr.replicas, lambda stub: stub.Recognize, inbox, options),
            StageRun(diarization, backends.diarization.replicas, lambda stub: stub.Diarize, inbox, options),
        )
        return runs[:1] if config.results.omit_speakers else runs

    def _connected(self) -> Backends:
        if self._backends is None:
            raise Loading("the gateway is starting; try again shortly")
        return self._backends


def _check_speakers(config: gateway_pb2.TranscriptionConfig) -> None:
    """Raises InvalidConfig where speakers are both asked for and left out."""
    wanted = config.results
    if wanted.omit_speakers and (config.HasField("speakers") or wanted.speaker_embeddings):
        raise InvalidConfig(
            "omit_speakers goes with neither speakers nor speaker_embeddings",
            field="config.results.omit_speakers",
        )


def _deadline(context: Context) -> float | None:
    """The caller's deadline by the event loop's clock, which the backends' calls get as well."""
    remaining = context.time_remaining()
    return None if remaining is None else asyncio.get_running_loop().time() + remaining
