"""One recording's way through its decoder, as the service sees it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from serving import logs
from serving.audio.endings import Cause, cause, early_end
from serving.audio.fork_server import Child
from serving.decoding import messages
from serving.decoding.messages import Kind, Request
from serving.errors import DuoscribeError, InvalidAudio, Unavailable

# A process that has closed its socket is dead this soon.
_LAST_SECONDS = 5.0

_log = logs.get_logger(__name__)


class _Ended(Exception):  # noqa: N818 - named after what happened
    """The decoder's end of the socket is closed."""


class Exchange:
    """Feeds `chunks` to the decoder and takes what it puts out; what waits in the socket bounds both directions."""

    def __init__(
        self,
        child: Child,
        request: Request,
        chunks: AsyncIterator[bytes],
        ended_early: Callable[[Cause], None],
    ) -> None:
        self._child = child
        self._ended_early = ended_early
        self._bounds = request.bounds
        self._loop = asyncio.get_running_loop()
        # How often bytes were taken, and whether there are any that the decoder could take.
        self._moves = 0
        self._starved = False
        self._feeding = asyncio.create_task(self._feed(request, chunks))

    async def take(self) -> tuple[Kind, bytearray]:
        """The next INFO or BLOCK, or DONE at the end.

        Raises what the upload raised, InvalidAudio, RecordingTooLong, Unavailable and DecoderBug.
        """
        try:
            kind, payload = await self._message()
            failure = messages.error_of(payload) if kind is Kind.FAILURE else None
        except _Ended:
            self._raise_failed_upload()
            raise await self._early_end() from None
        except ValueError:
            _log.error("a decoder says what none should, and is killed", pid=self._child.pid)
            self._ended_early("garbled")
            raise InvalidAudio("the recording breaks the decoder; send an intact copy") from None
        if kind in {Kind.FAILURE, Kind.DONE}:
            self._raise_failed_upload()
        if failure is not None:
            raise failure
        return kind, payload

    async def close(self) -> None:
        """Ends the decoder, whatever it is doing."""
        self._feeding.cancel()
        await asyncio.gather(self._feeding, return_exceptions=True)
        self._child.close()

    async def _feed(self, request: Request, chunks: AsyncIterator[bytes]) -> None:
        try:
            await self._send(messages.encode(Kind.REQUEST, request.to_bytes()))
            self._starved = True
            async for chunk in chunks:
                self._starved = False
                await self._send(chunk)
                self._starved = True
            self._starved = False
        except _Ended:
            return
        except BaseException:
            # Wakes whoever waits for the decoder, which must not take this for the upload's end.
            self._shut(socket.SHUT_RDWR)
            raise
        self._shut(socket.SHUT_WR)

    async def _send(self, data: bytes) -> None:
        try:
            await self._loop.sock_sendall(self._child.talk, data)
        except ConnectionError as error:
            raise _Ended from error
        self._moves += 1

    def _shut(self, how: int) -> None:
        with suppress(OSError):  # the decoder was faster
            self._child.talk.shutdown(how)

    async def _message(self) -> tuple[Kind, bytearray]:
        kind, length = messages.decode_header(await self._exactly(messages.HEADER_BYTES))
        return kind, await self._exactly(length)

    async def _exactly(self, size: int) -> bytearray:
        received = bytearray(size)
        rest = memoryview(received)
        while rest:
            rest = rest[await self._receive_into(rest) :]
        return received

    async def _receive_into(self, room: memoryview) -> int:
        """Gives the number of bytes received, at least 1."""
        while True:
            moves = self._moves
            try:
                async with asyncio.timeout(self._bounds.decoder_stall_seconds):
                    count = await self._loop.sock_recv_into(self._child.talk, room)
            except TimeoutError:
                if moves == self._moves and not self._starved:
                    raise self._stalled() from None
            except ConnectionError as error:
                raise _Ended from error
            else:
                if not count:
                    raise _Ended
                return count

    def _stalled(self) -> Unavailable:
        _log.error("a decoder hangs, and is killed", pid=self._child.pid)
        self._ended_early("hung")
        return Unavailable(
            "the decoder of this recording does not go on; send it again, or to another replica"
        )

    async def _early_end(self) -> DuoscribeError:
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                status = await self._child.wait_status()
        except TimeoutError:
            status = None
        self._ended_early(cause(status))
        return early_end(status, self._bounds)

    def _raise_failed_upload(self) -> None:
        """An upload that failed is the reason for whatever became of its decoder."""
        if self._feeding.done():
            self._feeding.result()
