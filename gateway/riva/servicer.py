"""Riva's gRPC face of the gateway."""

from collections.abc import AsyncIterator

import grpc
from riva.client.proto import riva_asr_pb2, riva_asr_pb2_grpc
from riva.client.proto.riva_asr_pb2 import (
    RecognitionConfig,
    RecognizeRequest,
    RecognizeResponse,
    RivaSpeechRecognitionConfigRequest,
    RivaSpeechRecognitionConfigResponse,
    StreamingRecognizeRequest,
)
from riva.client.proto.riva_common_pb2 import RequestId

from gateway.answer import Send
from gateway.config import GatewayConfig
from gateway.riva.audio import check_announced, opened
from gateway.riva.config import check_config, transcription_config
from gateway.riva.fields import check_known, named_as_sent
from gateway.riva.models import check_model, configurations
from gateway.riva.results import Rendering
from gateway.riva.stream import Responses
from gateway.riva.upload import Requests, RivaUpload, pieces
from gateway.transcriber import Context, Transcriber
from gateway.transcript import Transcript
from gateway.unread import while_taken
from serving.doors import check_recording_bytes
from serving.errors import Unavailable
from serving.interceptors import uploading
from serving.times import seconds
from serving.upload import bound_request_id
from speech.asr.v1 import asr_pb2
from speech.gateway.v1 import gateway_pb2


class RivaService(riva_asr_pb2_grpc.RivaSpeechRecognitionServicer):  # type: ignore[misc]  # it has no types
    """Serves nvidia.riva.asr: translates, and leaves the work to the gateway's own transcriber."""

    name = riva_asr_pb2.DESCRIPTOR.services_by_name["RivaSpeechRecognition"].full_name

    def __init__(self, transcriber: Transcriber, config: GatewayConfig) -> None:
        self._transcriber = transcriber
        self._config = config

    def register(self, server: grpc.aio.Server) -> None:
        riva_asr_pb2_grpc.add_RivaSpeechRecognitionServicer_to_server(self, server)

    @uploading
    async def Recognize(self, request: RecognizeRequest, context: Context) -> RecognizeResponse:
        check_known(request)
        # Each look at the field copies it.
        audio = request.audio
        check_recording_bytes(len(audio), self._config, field="audio")
        asked = _Asked(request.config, request.id.value, "config", "audio")
        transcript = Transcript()

        async def keep(event: gateway_pb2.TranscribeResponse) -> None:
            transcript.apply(event)

        await self._transcribe(asked, pieces(audio), context, keep)
        length = seconds(transcript.completed.duration) if transcript.completed else 0.0
        return RecognizeResponse(
            results=Rendering.of(request.config).whole(transcript.segments, length),
            id=RequestId(value=asked.request_id),
        )

    async def StreamingRecognize(
        self, request_iterator: AsyncIterator[StreamingRecognizeRequest], context: Context
    ) -> None:
        requests = Requests(request_iterator, context, self._config)
        first = await requests.config()
        asked = _Asked(first.config, requests.id, "streaming_config.config", "audio_content")
        with while_taken(context.write, self._config.max_idle_seconds) as write:
            responses = Responses(Rendering.of(first.config), asked.request_id, write)
            await self._transcribe(
                asked, requests.audio(), context, responses.add, interim=first.interim_results
            )

    async def GetRivaSpeechRecognitionConfig(
        self, request: RivaSpeechRecognitionConfigRequest, context: Context
    ) -> RivaSpeechRecognitionConfigResponse:
        recognition = await self._recognition(context)
        if request.model_name:
            check_model(request.model_name, recognition, field="model_name")
        return RivaSpeechRecognitionConfigResponse(model_config=configurations(recognition))

    async def _transcribe(
        self,
        asked: "_Asked",
        chunks: AsyncIterator[bytes],
        context: Context,
        send: Send,
        *,
        interim: bool = False,
    ) -> None:
        async def checked(event: gateway_pb2.TranscribeResponse) -> None:
            if event.HasField("started"):
                check_announced(asked.config, event.started.recording)
            await send(event)

        with named_as_sent(config=asked.field, audio=asked.audio_field):
            check_config(asked.config, asked.field)
            await self._check_model(asked, context)
            audio_format, audio = await opened(asked.config, chunks)
            config = transcription_config(
                asked.config,
                audio_format,
                request_id=asked.given_id,
                results=gateway_pb2.ResultOptions(final_only=not interim, omit_speakers=not asked.diarized),
            )
            upload = RivaUpload(config, asked.request_id, audio)
            await self._transcriber.transcribe(upload, context, checked)

    async def _check_model(self, asked: "_Asked", context: Context) -> None:
        if asked.config.model:
            recognition = await self._recognition(context)
            check_model(asked.config.model, recognition, field=f"{asked.field}.model")

    async def _recognition(self, context: Context) -> asr_pb2.DescribeRecognitionResponse:
        recognition, _ = await self._transcriber.describe(context)
        if recognition is None:
            raise Unavailable("speech recognition cannot be reached; try again later")
        return recognition


class _Asked:
    """A call's config, its id, and where in its messages config and audio stand."""

    def __init__(self, config: RecognitionConfig, given_id: str, field: str, audio_field: str) -> None:
        """Raises InvalidConfig for an id that cannot stand in logs."""
        self.config = config
        self.given_id = given_id
        self.request_id = bound_request_id(given_id, field="id")
        self.field = field
        self.audio_field = audio_field

    @property
    def diarized(self) -> bool:
        return bool(self.config.diarization_config.enable_speaker_diarization)
