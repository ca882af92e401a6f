"""What happens around every call: interceptors for any kind of handler, and what a failure looks like from outside."""

from __future__ import annotations

import asyncio
import functools
import inspect
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Never, TypeAlias, TypeVar, cast

import grpc
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status

from serving import errors, logs
from serving.status import WriteFailed, members_of, to_status

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
# Generic in its stub only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
# A handler's work on one call, ready to run.
Call: TypeAlias = Callable[[], Awaitable[Any]]

MethodT = TypeVar("MethodT", bound=Callable[..., Any])

# The attribute of a handler's function that says so.
_UPLOADS = "uploads"

_log = logs.get_logger(__name__)


def uploading(method: MethodT) -> MethodT:
    """Marks a unary method whose one message holds a whole recording: its calls count as uploads, as streams do."""
    setattr(method, _UPLOADS, True)
    return method


class AroundCalls(grpc.aio.ServerInterceptor):
    """Runs `around` in place of every call, whatever the kind of its handler. For subclasses."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        work = _as_coroutine_function(handler)
        uploads = _uploads(handler)

        async def handle(request: Any, context: Context) -> Any:
            call = functools.partial(work, request, context)
            return await self.around(call, context, method=handler_call_details.method, uploads=uploads)

        return _remade(handler, uploading(handle) if uploads else handle)

    @abstractmethod
    async def around(self, call: Call, context: Context, *, method: str, uploads: bool) -> Any:
        """Await `call()`, or refuse to. `uploads` tells whether the caller sends a recording: in a stream, or as `uploading` says."""


class ErrorInterceptor(AroundCalls):
    """Ends failed calls with the status of `serving.status`, and names every call in its log lines."""

    async def around(self, call: Call, context: Context, *, method: str, uploads: bool) -> Any:  # noqa: ARG002
        logs.bind_call(method, _request_id_in_metadata(context))
        try:
            return await call()
        except Exception as error:  # noqa: BLE001 - this is the edge; bugs are logged with their traceback
            await _end(context, error)


async def _end(context: Context, error: Exception) -> Never:
    """Send the status of `error`. Ends in AbortError, by which grpc.aio knows that a status was sent."""
    members = list(members_of(error))
    for member in members:
        if isinstance(member, grpc.aio.AbortError):  # the handler sent a status of its own
            raise member
    status = to_status(error)
    code = code_pb2.Code.Name(status.code)
    if all(isinstance(member, (errors.DuoscribeError, WriteFailed)) for member in members):
        _log.info("call failed", code=code, reason=status.message)
    else:
        _log.error("call failed by a bug", code=code, exc_info=error)
    await _abort(context, status)


async def _abort(context: Context, status: status_pb2.Status) -> Never:
    try:
        await context.abort_with_status(rpc_status.to_status(status))
    except grpc.aio.AbortError:
        raise
    except Exception as failure:
        # The call is gone already, so nobody is left to be told; grpc.aio takes a cancellation in silence.
        _log.debug("the status found no receiver", exc_info=failure)
        raise asyncio.CancelledError from failure


def _request_id_in_metadata(context: Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "x-request-id" and isinstance(value, str) and logs.is_request_id(value):
            return value
    return None


def _as_coroutine_function(handler: Handler) -> Callable[[Any, Context], Awaitable[Any]]:
    function = _function(handler)
    if not inspect.isasyncgenfunction(function):
        return cast("Callable[[Any, Context], Awaitable[Any]]", function)

    async def write_all(request: Any, context: Context) -> None:
        async with aclosing(function(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return write_all


def _uploads(handler: Handler) -> bool:
    return handler.request_streaming or getattr(_function(handler), _UPLOADS, False)


def _function(handler: Handler) -> Callable[..., Any]:
    functions = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
    return next(function for function in functions if function is not None)


def _remade(handler: Handler, function: Callable[[Any, Context], Awaitable[Any]]) -> Handler:
    makers: dict[tuple[bool, bool], Callable[..., Handler]] = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    return makers[handler.request_streaming, handler.response_streaming](
        function,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
