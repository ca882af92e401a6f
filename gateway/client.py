"""The gateway, called from Python.

async with TranscriptionClient("localhost:50050") as client:
    transcript = Transcript()
    async for event in client.transcribe(read_file(path), configuration(name=path.name)):
        transcript.apply(event)
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import grpc
from google.rpc import error_details_pb2
from grpc import aio

from gateway.connecting import Token, is_on_this_machine, open_channel, token_in, why_unreachable
from gateway.transcript import Transcript
from gateway.uploading import RequestT, events, send
from serving.calls import response
from serving.certificates import CertificateFiles
from serving.status import from_rpc_error
from serving.times import seconds
from serving.tracing.calls import propagated
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc

__all__ = [
    "CertificateFiles",
    "NotConnected",
    "Transcript",
    "TranscriptionClient",
    "TranscriptionError",
    "configuration",
    "read_file",
    "read_stream",
    "token_in",
]

CHUNK_BYTES = 128 * 1024


class TranscriptionError(Exception):
    """The gateway ended a call with a status other than OK.

    `field` is the path of the first field it objects to, empty where it names none; `retry_after` is in seconds,
    absent where the gateway does not say.
    """

    def __init__(
        self, code: grpc.StatusCode, message: str, *, field: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.retry_after = retry_after


class NotConnected(TranscriptionError):  # noqa: N818 - named after what happened
    """The call did not get to a gateway; the message says why as far as can be known, and what to check."""


class TranscriptionClient:
    """Calls one gateway: "host:port", "dns:///name:port" or "unix:/path"; encrypted where credentials are given, unless over a
    socket.

    Credentials in files are read again when they change, so that certificates can be renewed under a client that lives long.
    `server_name` is the name that the gateway's certificate holds, where it is not the address's. A `token` goes with every
    call; what a function for it raises ends the call. `plaintext_token` is for callers whose proxy encrypts. Raises
    UnusableCertificate, and ValueError for a token that would leave this machine in plain text without that.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: grpc.ChannelCredentials | CertificateFiles | None = None,
        server_name: str = "",
        token: Token | None = None,
        plaintext_token: bool = False,
    ) -> None:
        self._encrypted = credentials is not None
        if token is not None and not (self._encrypted or plaintext_token or is_on_this_machine(address)):
            raise ValueError("a token leaves this machine over TLS only, unless plaintext_token is set")
        self._token = token
        self._channel = open_channel(address, credentials, server_name)
        self._stub = gateway_pb2_grpc.TranscriptionStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def transcribe(
        self,
        chunks: AsyncIterable[bytes],
        config: gateway_pb2.TranscriptionConfig,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the call's deadline, which travels to the servers
    ) -> AsyncGenerator[gateway_pb2.TranscribeResponse]:
        """Upload `chunks` and yield events as they come; leaving the iteration cancels the call.

        Raises TranscriptionError, and whatever `chunks` raises.
        """
        call = self._stub.Transcribe(timeout=timeout, metadata=self._metadata())
        requests = _requests(gateway_pb2.TranscribeRequest, chunks, config)
        try:
            async with aclosing(events(call, requests)) as answer:
                async for event in answer:
                    yield event
        except aio.AioRpcError as error:
            raise self._translated(error) from None

    async def transcribe_file(
        self,
        chunks: AsyncIterable[bytes],
        config: gateway_pb2.TranscriptionConfig,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the call's deadline, which travels to the servers
    ) -> gateway_pb2.TranscribeFileResponse:
        """Upload `chunks` and wait for the whole transcript. Raises TranscriptionError, and what `chunks` raises."""
        call = self._stub.TranscribeFile(timeout=timeout, metadata=self._metadata())
        answer = asyncio.ensure_future(response(call))
        upload = asyncio.create_task(send(call, _requests(gateway_pb2.TranscribeFileRequest, chunks, config)))
        try:
            # A call may end while its source has nothing to send.
            await asyncio.wait((answer, upload), return_when=asyncio.FIRST_COMPLETED)
            if upload.done():
                upload.result()
            return await answer
        except aio.AioRpcError as error:
            raise self._translated(error) from None
        finally:
            upload.cancel()
            answer.cancel()
            await asyncio.gather(upload, answer, return_exceptions=True)

    async def describe(self, *, timeout: float | None = None) -> gateway_pb2.DescribeTranscriptionResponse:  # noqa: ASYNC109
        """What the gateway has behind it. Raises TranscriptionError."""
        request = gateway_pb2.DescribeTranscriptionRequest()
        try:
            return await self._stub.DescribeTranscription(request, timeout=timeout, metadata=self._metadata())
        except aio.AioRpcError as error:
            raise self._translated(error) from None

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        """The trace that the caller is in, if any, and the token."""
        if self._token is None:
            return propagated()
        token = self._token if isinstance(self._token, str) else self._token()
        return (*propagated(), ("authorization", f"Bearer {token}"))

    def _translated(self, error: aio.AioRpcError) -> TranscriptionError:
        """The caller's view of a status, rich details included (google.rpc)."""
        status = from_rpc_error(error)
        if reason := why_unreachable(error.code(), status.message, encrypted=self._encrypted):
            return NotConnected(error.code(), reason)
        field, retry_after = "", None
        for detail in status.details:
            violations, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
            if detail.Unpack(violations) and violations.field_violations:
                field = violations.field_violations[0].field
            elif detail.Unpack(retry):
                retry_after = seconds(retry.retry_delay)
        return TranscriptionError(error.code(), status.message, field=field, retry_after=retry_after)


def configuration(
    *,
    name: str = "",
    pcm: audio_pb2.PcmFormat | None = None,
    request_id: str = "",
    language: str = "",
    speakers: diarization_pb2.SpeakerHints | None = None,
    final_only: bool = False,
    accept_partial: bool = False,
    omit_progress: bool = False,
    speaker_embeddings: bool = False,
    omit_speakers: bool = False,
) -> gateway_pb2.TranscriptionConfig:
    """A request for a container file called `name`, or for raw samples where `pcm` says how they are stored."""
    container = None if pcm is not None else audio_pb2.ContainerFormat(name=name)
    return gateway_pb2.TranscriptionConfig(
        audio_format=audio_pb2.AudioFormat(container=container, pcm=pcm),
        request_id=request_id,
        language=language,
        speakers=speakers,
        results=gateway_pb2.ResultOptions(
            final_only=final_only,
            accept_partial=accept_partial,
            omit_progress=omit_progress,
            speaker_embeddings=speaker_embeddings,
            omit_speakers=omit_speakers,
        ),
    )


async def read_file(path: Path, *, chunk_bytes: int = CHUNK_BYTES) -> AsyncIterator[bytes]:
    """The file's bytes, piece by piece. Raises OSError."""
    with await asyncio.to_thread(path.open, "rb") as source:
        async for chunk in read_stream(source, chunk_bytes=chunk_bytes):
            yield chunk


async def read_stream(source: BinaryIO, *, chunk_bytes: int = CHUNK_BYTES) -> AsyncIterator[bytes]:
    """Bytes of an open file, or of standard input, as they come. Raises OSError."""
    # A pipe's buffered reader has read1, which hands over what is there instead of waiting for a whole chunk.
    read = getattr(source, "read1", source.read)
    while chunk := await asyncio.to_thread(read, chunk_bytes):
        yield chunk


async def _requests(
    request: type[RequestT], chunks: AsyncIterable[bytes], config: gateway_pb2.TranscriptionConfig
) -> AsyncIterator[RequestT]:
    yield request(config=config)
    async for chunk in chunks:
        yield request(audio=chunk)
    yield request(end_of_audio=audio_pb2.EndOfAudio())
