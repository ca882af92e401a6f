"""gRPC's own metrics of a server, under the names that dashboards for gRPC services know.

They are those of go-grpc-prometheus and its successors, but for the counters of messages: these would cost something for each
chunk of audio. grpcio-observability has more of them, from the C core; it needs one patch version of grpcio and no other, so
every fix of grpcio would wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.rpc import code_pb2
from prometheus_client import CollectorRegistry, Counter, Histogram

from serving.interceptors import AroundCalls, Call, Context, Handler
from serving.metrics import exemplar
from serving.status import members_of, to_status

# A call with less than this left was on its way for so long, and is at its deadline.
_ON_ITS_WAY_SECONDS = 0.1

_METHOD = ("grpc_type", "grpc_service", "grpc_method")
# From a health check to a recording of hours.
_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)

_TYPES = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}


class CallMetrics(AroundCalls):
    """Counts every call of a known method, health and reflection included, and how it ended.

    Stands within the mapping of errors and around whatever may refuse a call.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._started = Counter("grpc_server_started", "Calls that arrived.", _METHOD, registry=registry)
        self._handled = Counter(
            "grpc_server_handled",
            "Calls that ended, by the status that their callers got.",
            (*_METHOD, "grpc_code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "How long calls took, from their first message to their status.",
            _METHOD,
            buckets=_SECONDS,
            registry=registry,
        )
        self._labels: dict[str, tuple[str, str, str]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await super().intercept_service(continuation, handler_call_details)
        if handler is not None:
            method = handler_call_details.method
            service, _, name = method.removeprefix("/").rpartition("/")
            kind = _TYPES[handler.request_streaming, handler.response_streaming]
            self._labels[method] = kind, service, name
        return handler

    async def around(self, call: Call, context: Context, *, method: str, uploads: bool) -> Any:  # noqa: ARG002
        labels = self._labels[method]
        self._started.labels(*labels).inc()
        started = time.perf_counter()
        code = code_pb2.OK
        try:
            return await call()
        except BaseException as error:
            code = code_of(error, context)
            raise
        finally:
            self._handled.labels(*labels, code_pb2.Code.Name(code)).inc()
            self._seconds.labels(*labels).observe(time.perf_counter() - started, exemplar())


def code_of(error: BaseException, context: Context) -> code_pb2.Code:
    """The code that a call's caller sees where its handler ended by `error`."""
    if any(isinstance(member, grpc.aio.AbortError) for member in members_of(error)):
        return code_pb2.Code.Value(context.code().name)  # the handler sent a status of its own
    code = to_status(error).code
    return code_pb2.DEADLINE_EXCEEDED if code == code_pb2.CANCELLED and _is_late(context) else code


def _is_late(context: Context) -> bool:
    """Whether the caller's deadline has passed; such a call is cancelled like any other, and mostly by the caller, who counts
    from a moment before the call arrived.
    """
    remaining = context.time_remaining()
    return remaining is not None and remaining <= _ON_ITS_WAY_SECONDS
