"""A form on its way to the gateway: its fields become the config, its file the audio, as they come."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack

from gateway.client import configuration
from gateway.config import GatewayConfig
from gateway.http.form import FILE, Field, FileStart, Piece
from gateway.http.kept import KeptFile
from gateway.http.wanted import Wanted
from serving.errors import InvalidRequest
from speech.audio.v1 import audio_pb2
from speech.gateway.v1 import gateway_pb2


class Upload:
    """One form. `wanted` is known from the config's request on.

    Clients put the file first or last. One that comes before the model, without which no form is whole, is kept on disk until
    the others have come; from any other, audio goes on at once, and what comes behind it can say how the answer is written,
    but not how it is made.
    """

    def __init__(self, pieces: AsyncIterator[Piece], config: GatewayConfig) -> None:
        self._pieces = pieces
        self._config = config
        self._fields: list[Field] = []
        self._file_name: str | None = None
        self._kept: KeptFile | None = None
        self._wanted: Wanted | None = None

    @property
    def wanted(self) -> Wanted:
        """Raises InvalidRequest where the form has no file, and so nothing was asked for."""
        if self._wanted is None:
            raise InvalidRequest("the form needs a file", field=FILE)
        return self._wanted

    async def requests(self) -> AsyncGenerator[gateway_pb2.TranscribeRequest]:
        """The whole call. Raises InvalidRequest, ClientDisconnect, Unavailable (no room on disk)."""
        async with AsyncExitStack() as stack:
            async for piece in self._pieces:
                for request in await self._taken(piece, stack):
                    yield request
            if self._kept is not None:
                yield self._begin_call()
                async for block in self._kept.blocks():
                    for request in self._audio(block):
                        yield request
            self._check_late_fields()
            yield gateway_pb2.TranscribeRequest(end_of_audio=audio_pb2.EndOfAudio())

    async def _taken(self, piece: Piece, stack: AsyncExitStack) -> list[gateway_pb2.TranscribeRequest]:
        """What can be sent once this piece has come."""
        match piece:
            case Field():
                self._fields.append(piece)
            case FileStart(name):
                self._begin_file(name)
                if self._has_model:
                    return [self._begin_call()]
                self._kept = await stack.enter_async_context(KeptFile.opened(self._config))
            case bytes() if self._kept is None:
                return self._audio(piece)
            case bytes():
                await self._kept.write(piece)
        return []

    @property
    def _has_model(self) -> bool:
        return any(field.name == "model" for field in self._fields)

    def _begin_file(self, name: str) -> None:
        if self._file_name is not None:
            raise InvalidRequest("file is given more than once", field=FILE)
        self._file_name = name

    def _begin_call(self) -> gateway_pb2.TranscribeRequest:
        self._wanted = self._asked()
        config = configuration(
            name=self._file_name or "",
            language=self._wanted.language,
            final_only=not self._wanted.stream,
            omit_progress=True,
            omit_speakers=not self._wanted.response_format.has_speakers,
        )
        return gateway_pb2.TranscribeRequest(config=config)

    def _audio(self, block: bytes) -> list[gateway_pb2.TranscribeRequest]:
        most = self._config.max_message_bytes
        return [
            gateway_pb2.TranscribeRequest(audio=block[start : start + most])
            for start in range(0, len(block), most)
        ]

    def _check_late_fields(self) -> None:
        """Fields behind the file count too, but for those that the call was made with."""
        before, now = self.wanted, self._asked()
        has_speakers = now.response_format.has_speakers
        late = {
            "language": now.language != before.language,
            "stream": now.stream != before.stream,
            "response_format": has_speakers != before.response_format.has_speakers
            or (now.stream and now != before),
        }
        for name, is_late in late.items():
            if is_late:
                raise InvalidRequest(f"{name} must come before the file", field=name)
        self._wanted = now

    def _asked(self) -> Wanted:
        return Wanted.of(self._fields, self._config.http_models)
