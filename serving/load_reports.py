"""Tells clients how loaded the service is, in both ways of ORCA (gRFC A51).

With each answer to an upload, in its trailing metadata, as Envoy's client_side_weighted_round_robin reads it; and in a stream
of its own, for who asks (gRPC's weighted_round_robin with enableOobLoadReport), since uploads last for minutes and
report only when they end.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from serving.interceptors import AroundCalls, Call, Context, Handler
from serving.load import Load

SERVICE_NAME = "xds.service.orca.v3.OpenRcaService"

_TRAILER = "endpoint-load-metrics-bin"

# Whatever interval is asked for: a report is 27 bytes.
_INTERVAL_SECONDS = 1.0


class LoadReportInterceptor(AroundCalls):
    """Reports with each upload that succeeds. Runs within admission, so that the upload itself counts."""

    def __init__(self, load: Callable[[], Load]) -> None:
        self._load = load

    async def around(self, call: Call, context: Context, *, method: str, uploads: bool) -> Any:  # noqa: ARG002
        answer = await call()
        if uploads:
            context.set_trailing_metadata(((_TRAILER, self._load().encoded()),))
        return answer


def register(server: grpc.aio.Server, load: Callable[[], Load]) -> None:
    """Add OpenRcaService. Its request, which holds nothing but the interval, is not looked at."""

    async def stream_core_metrics(request: bytes, context: Context) -> None:  # noqa: ARG001
        while True:
            await context.write(load().encoded())
            await asyncio.sleep(_INTERVAL_SECONDS)

    handler: Handler = grpc.unary_stream_rpc_method_handler(stream_core_metrics)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE_NAME, {"StreamCoreMetrics": handler}),)
    )
