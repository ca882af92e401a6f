"""The status that a peer ended a call with, whatever became of the messages still on their way to it.

When a server ends a call while its client still writes, grpc.aio replaces the server's status by INTERNAL, "Internal error
from Core", as soon as the next write fails (https://github.com/grpc/grpc/issues/36066). Refusals within an upload, which is
when most of them come, would lose their reasons.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from grpc import aio

ResultT = TypeVar("ResultT")

_REPLACEMENT = "Internal error from Core"

# The failed write and the status arrive together, in either order.
_LATE_SECONDS = 0.5
_POLL_SECONDS = 0.01


class PeerStatus:
    """Keeps the status of one call from being replaced; make it as soon as the call is made."""

    def __init__(self, call: Any) -> None:
        self._kept: aio.AioRpcError | None = None
        call.add_done_callback(self._keep)

    async def of(self, error: aio.AioRpcError) -> aio.AioRpcError:
        """The error as the peer sent it, in place of the `error` that grpc.aio raised."""
        waits = 0 if error.details() != _REPLACEMENT else round(_LATE_SECONDS / _POLL_SECONDS)
        while self._kept is None and waits > 0:
            await asyncio.sleep(_POLL_SECONDS)
            waits -= 1
        return self._kept or error

    def _keep(self, call: Any) -> None:
        """Called each time that a status is set."""
        details = _result(call.details())
        if self._kept is None and details != _REPLACEMENT:
            self._kept = aio.AioRpcError(
                _result(call.code()),
                _result(call.initial_metadata()),
                _result(call.trailing_metadata()),
                details=details,
            )


def _result(done: Coroutine[Any, Any, ResultT]) -> ResultT:
    """The result of a coroutine that has nothing to wait for, since the status is there."""
    try:
        done.send(None)
    except StopIteration as finished:
        result: ResultT = finished.value
        return result
    done.close()
    raise RuntimeError("the call has no status yet")
