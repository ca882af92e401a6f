"""Spans around calls, named by OpenTelemetry's conventions for RPC, and the trace's way from one process to the next.

opentelemetry-instrumentation-grpc has interceptors too. Those for grpc.aio's servers take every streaming handler for an async
generator, where these are coroutines that write, and do not see statuses with details; those for its clients hand out
iterators in place of calls, to which nothing can be written.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.rpc import code_pb2, status_pb2
from opentelemetry import context as contexts
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serving.call_metrics import code_of
from serving.health import is_always_answered
from serving.interceptors import AroundCalls, Call, Context
from serving.status import most_telling, to_status
from serving.tracing.stages import Value, current_tracer, failed, named

_W3C = TraceContextTextMapPropagator()

# What is a server's own fault; with the others its caller has to do something.
_SERVERS_FAULTS = {
    code_pb2.UNKNOWN,
    code_pb2.DEADLINE_EXCEEDED,
    code_pb2.UNIMPLEMENTED,
    code_pb2.INTERNAL,
    code_pb2.UNAVAILABLE,
    code_pb2.DATA_LOSS,
}


class TracingInterceptor(AroundCalls):
    """Makes every call a span, a child of its caller's; health and reflection, which are asked all day, are left out.

    Stands within the mapping of errors and around whatever may refuse a call.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def around(self, call: Call, context: Context, *, method: str, uploads: bool) -> Any:  # noqa: ARG002
        if is_always_answered(method):
            return await call()
        span = self._begin(method.removeprefix("/"), context)
        code = code_pb2.OK
        try:
            return await call()
        except BaseException as error:
            code = code_of(error, context)
            if code in _SERVERS_FAULTS:
                failed(span, most_telling(error))
            raise
        finally:
            _set_code(span, code)
            span.end()

    def _begin(self, method: str, context: Context) -> Span:
        """A span that stays the current one of the call's task, also for the line that the edge logs of its failure."""
        caller = _W3C.extract(_headers(context))
        span = self._tracer.start_span(method, caller, kind=SpanKind.SERVER, attributes=_conventional(method))
        contexts.attach(set_span_in_context(span, caller))
        current_tracer.set(self._tracer)
        return span


@contextmanager
def calling(method: str, **attributes: Value) -> Iterator[Span]:
    """Around a call of another service, "package.Service/Method"; it failed where the context is left by an error."""
    span = current_tracer.get().start_span(
        method, kind=SpanKind.CLIENT, attributes=_conventional(method) | named(attributes)
    )
    _set_code(span, code_pb2.OK)
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except (Exception, asyncio.CancelledError) as error:
            status = _status(error)
            _set_code(span, status.code)
            span.set_status(Status(StatusCode.ERROR, status.message))
            raise


def propagated() -> tuple[tuple[str, str], ...]:
    """Metadata by which a called service continues the current trace."""
    headers: dict[str, str] = {}
    _W3C.inject(headers)
    return tuple(headers.items())


def _status(error: BaseException) -> status_pb2.Status:
    """What the called service said, where the error bears it."""
    said = getattr(error, "status", None)
    return said if isinstance(said, status_pb2.Status) else to_status(error)


def _headers(context: Context) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for key, value in context.invocation_metadata() or ():
        if key in _W3C.fields and isinstance(value, str):
            headers.setdefault(key, []).append(value)
    return headers


def _conventional(method: str) -> dict[str, Value]:
    return {"rpc.system.name": "grpc", "rpc.method": method}


def _set_code(span: Span, code: int) -> None:
    span.set_attribute("rpc.response.status_code", code_pb2.Code.Name(code))
