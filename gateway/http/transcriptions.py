"""POST /v1/audio/transcriptions: a form in, a transcript out."""

import asyncio
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.access.vouching import Voucher
from gateway.config import GatewayConfig
from gateway.http.answers import answer
from gateway.http.body import Body, while_sender_waits
from gateway.http.connection import CERTIFICATE
from gateway.http.form import pieces
from gateway.http.headers import REQUEST_ID, call_metadata
from gateway.http.stream import Events, stream
from gateway.http.upload import Upload
from gateway.transcript import Transcript
from gateway.uploading import events
from serving.errors import Unauthenticated
from speech.gateway.v1 import gateway_pb2_grpc


class Transcriptions:
    """An ASGI application for one path. Errors leave it as exceptions: AioRpcError, DuoscribeError.

    The call is made before anything of the body is read: who may not, or finds no place, is told so at once, and the gateway's
    clocks go for callers who send nothing. It is cancelled when the caller goes.
    """

    def __init__(
        self, stub: "gateway_pb2_grpc.TranscriptionAsyncStub", config: GatewayConfig, voucher: Voucher
    ) -> None:
        self._stub = stub
        self._config = config
        self._voucher = voucher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(receive)
        await while_sender_waits(body, self._respond(Request(scope), body, send))

    async def _respond(self, request: Request, body: Body, send: Send) -> None:
        form = pieces(request.headers.get("content-type", ""), body.chunks())
        upload = Upload(form, self._config)
        call = self._stub.Transcribe(metadata=self._metadata(request))
        async with (
            aclosing(upload.requests()) as requests,
            aclosing(events(call, requests)) as answered,
        ):
            await anext(answered)  # The recording was understood: from here on it is worth an answer.
            if upload.wanted.stream:
                response = StreamingResponse(stream(answered, upload.wanted), media_type="text/event-stream")
                await response.stream_response(send)
                return
            transcript = await _whole(answered)
        written = await asyncio.to_thread(answer, transcript, upload.wanted)
        await written(request.scope, request.receive, send)

    def _metadata(self, request: Request) -> tuple[tuple[str, str | bytes], ...]:
        """Raises InvalidRequest, Unauthenticated."""
        return (
            (REQUEST_ID, request.scope["state"][REQUEST_ID]),
            *call_metadata(request.headers),
            *self._certified(request.scope["state"].get(CERTIFICATE)),
        )

    def _certified(self, certificate: bytes | None) -> tuple[tuple[str, str | bytes], ...]:
        """TLS lets nobody in without a certificate where one is asked for; should it ever, nobody becomes anonymous by it."""
        if certificate is not None:
            return self._voucher.metadata(certificate)
        if self._config.tls_client_ca is not None:
            raise Unauthenticated("the connection has no client certificate")
        return ()


async def _whole(answered: Events) -> Transcript:
    transcript = Transcript()
    async for event in answered:
        transcript.apply(event)
    return transcript
