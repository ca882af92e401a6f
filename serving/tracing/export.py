"""Where spans go: an OpenTelemetry collector, over gRPC, from a thread of its own.

All is bounded: spans that wait (OTEL_BSP_MAX_QUEUE_SIZE, further ones are dropped), a delivery (OTEL_EXPORTER_OTLP_TIMEOUT), and
the last one at the end. OTLP goes over gRPC since that is loaded anyway; over HTTP another client library would come along.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.trace import NoOpTracer, Tracer

from serving import logs

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

_log = logs.get_logger(__name__)


@asynccontextmanager
async def tracing_to(endpoint: str | None, service: str) -> AsyncIterator[Tracer]:
    """The tracer of a service until the context ends, which takes seconds at most; `service` is its name unless the
    environment has another.

    `endpoint` is http://HOST:PORT or https://HOST:PORT, None where only the environment may name one. All else is said by
    OpenTelemetry's own variables.
    """
    endpoint = endpoint or _from_environment(_ENDPOINTS)
    if endpoint is None or not _is_wanted():
        yield NoOpTracer()
        return
    from serving.tracing.otlp import Exporting  # noqa: PLC0415 - 9 MB and 0.1 s, for those who want traces

    exporting = Exporting(endpoint, service)
    try:
        yield exporting.tracer
    finally:
        await asyncio.to_thread(exporting.close)


def _is_wanted() -> bool:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip()
    protocol = _from_environment(_PROTOCOLS) or "grpc"
    if exporter == "otlp" and protocol == "grpc":
        return True
    if exporter != "none":
        _log.warning("no traces are sent: only OTLP over gRPC is known", exporter=exporter, protocol=protocol)
    return False


def _from_environment(names: tuple[str, ...]) -> str | None:
    """The first that is set and not empty."""
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)
