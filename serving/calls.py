"""Streaming calls to other services, without three faults of grpc.aio's client.

When a server refuses an upload that is still being written, a write fails, and grpc.aio then puts INTERNAL "Internal error
from Core" in place of the status that the server sent (grpc/grpc issue 36066). And a call whose reader is cancelled before
the first response has come goes on at the server. A response that cannot be decoded comes as None.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

import grpc

_HIDING_DETAILS = "Internal error from Core"

# By when a status that the server has sent is known, the failed write having been noticed first.
_STATUS_SECONDS = 1.0

T = TypeVar("T")


def responses(
    call: grpc.aio.StreamStreamCall[Any, T] | grpc.aio.UnaryStreamCall[Any, T],
) -> AsyncGenerator[T, None]:
    """The responses of a call, which ends with this iterator: close it (`contextlib.aclosing`) if you leave early.

    To be asked for before the first `call.write`. Raises AioRpcError with the status that the server sent.
    """
    return _responses(call, _Outcome(call))


def response(call: grpc.aio.StreamUnaryCall[Any, T]) -> Coroutine[Any, Any, T]:
    """The response of a call, which is cancelled if waiting for it is.

    To be asked for before the first `call.write`. Raises AioRpcError with the status that the server sent.
    """
    return _response(call, _Outcome(call))


async def _responses(
    call: grpc.aio.StreamStreamCall[Any, T] | grpc.aio.UnaryStreamCall[Any, T], outcome: "_Outcome"
) -> AsyncGenerator[T, None]:
    try:
        async for message in call:
            yield _decoded(message)
    except grpc.aio.AioRpcError as error:
        truth = await outcome.truth(error)
        if truth.code() is not grpc.StatusCode.OK:
            raise truth from None
    finally:
        call.cancel()


async def _response(call: grpc.aio.StreamUnaryCall[Any, T], outcome: "_Outcome") -> T:
    try:
        return _decoded(await call)
    except grpc.aio.AioRpcError as error:
        raise await outcome.truth(error) from None
    finally:
        call.cancel()


def _decoded(message: T | None) -> T:
    """Raises AioRpcError with the status that other languages' clients give."""
    if message is None:
        nothing = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.INTERNAL, nothing, nothing, details="a response came that cannot be decoded"
        )
    return message


class _Outcome:
    """Remembers every status that a call ever had, as it is set; the last one need not be the server's."""

    def __init__(self, call: grpc.aio.Call) -> None:
        self._server_said: asyncio.Future[grpc.aio.AioRpcError] = asyncio.get_running_loop().create_future()
        self._call = call
        call.add_done_callback(self._note)

    async def truth(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """What the server said, where `error` hides it; else `error`."""
        if error.details() != _HIDING_DETAILS:
            return error
        await asyncio.wait((self._server_said,), timeout=_STATUS_SECONDS)
        return self._server_said.result() if self._server_said.done() else error

    def _note(self, _: object) -> None:
        details = _known(self._call.details())
        if details != _HIDING_DETAILS and not self._server_said.done():
            self._server_said.set_result(
                grpc.aio.AioRpcError(
                    _known(self._call.code()),
                    grpc.aio.Metadata(),
                    _known(self._call.trailing_metadata()),
                    details=details,
                )
            )


def _known(value: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for, as those of a call that is done."""
    try:
        value.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    raise RuntimeError("a call that is done has no status")
