"""Figures for Prometheus over HTTP, on a port of their own: whoever may scrape need not be let in to gRPC."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.trace import format_trace_id, get_current_span
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from serving.listening import host_and_port


def process_registry() -> CollectorRegistry:
    """With what every process tells: CPU time, memory, open files, Python's version and garbage collections."""
    # The library would tell when each series began as a series of its own, and so twice as many of them.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def exemplar() -> dict[str, str] | None:
    """What leads from an observation to the current trace, if that is recorded; told to who asks for OpenMetrics."""
    span = get_current_span().get_span_context()
    return {"trace_id": format_trace_id(span.trace_id)} if span.trace_flags.sampled else None


@asynccontextmanager
async def metrics_endpoint(address: str | None, registry: CollectorRegistry) -> AsyncIterator[str | None]:
    """Answer HTTP at HOST:PORT until the context ends, and say where; None serves nothing.

    Raises OSError where the address cannot be bound.
    """
    if address is None:
        yield None
        return
    host, port = _host_and_port(address)
    try:
        server, thread = start_http_server(port, host.strip("[]"), registry)
    except OSError as error:
        raise OSError(f"cannot serve metrics at {address}: {error.strerror}") from error
    try:
        yield f"{host}:{server.server_port}"
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


def _host_and_port(address: str) -> tuple[str, int]:
    found = host_and_port(address)
    if found is None:
        raise OSError(f"cannot serve metrics at {address}: an address is HOST:PORT")
    return found
