"""A collector for tests: takes spans over OTLP, and shows them as a tree."""

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from support.certificates import Identity
from support.fake_service import Door, FakeService, limits, opened
from support.waiting import until

ERROR = trace_pb2.Status.STATUS_CODE_ERROR


@dataclass(frozen=True)
class SeenSpan:
    """A span as it arrived, and who made it."""

    span: trace_pb2.Span
    resource: dict[str, Any]

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def service(self) -> str:
        return str(self.resource["service.name"])

    @property
    def trace(self) -> str:
        return self.span.trace_id.hex()

    @property
    def id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent(self) -> str:
        return self.span.parent_span_id.hex()

    @property
    def attributes(self) -> dict[str, Any]:
        return values(self.span.attributes)

    @property
    def events(self) -> list[str]:
        return [event.name for event in self.span.events]

    @property
    def is_error(self) -> bool:
        return self.span.status.code == ERROR


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[SeenSpan] = []
        self.requests: list[bytes] = []
        self.endpoint = ""
        self.refusing = False

    def Export(  # noqa: N802 - OTLP's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        if self.refusing:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "closed")
        self.requests.append(request.SerializeToString())
        for group in request.resource_spans:
            resource = values(group.resource.attributes)
            self.spans += [SeenSpan(span, resource) for scope in group.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, name: str) -> list[SeenSpan]:
        """In the order in which they began."""
        return sorted((span for span in self.spans if span.name == name), key=_begun)

    def children(self, parent: SeenSpan) -> list[SeenSpan]:
        return sorted((span for span in self.spans if span.parent == parent.id), key=_begun)

    async def until(self, condition: Callable[[], object]) -> None:
        await until(condition)


def values(attributes: Any) -> dict[str, Any]:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


@contextmanager
def collecting(identity: Identity | None = None) -> Iterator[Collector]:
    """In threads of its own, so that tests may wait for processes that send what they have left.

    With an identity it takes those over TLS only whom the identity's authority knows.
    """
    with ThreadPoolExecutor(1) as threads:
        collector, server = Collector(), grpc.server(threads)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
        if identity is None:
            collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        else:
            pair = (identity.key, identity.certificate)
            credentials = grpc.ssl_server_credentials([pair], identity.trusted, require_client_auth=True)
            collector.endpoint = f"https://127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
        server.start()
        try:
            yield collector
        finally:
            server.stop(None).wait()


@asynccontextmanager
async def traced(**service: Any) -> AsyncIterator[tuple[Collector, Door]]:
    """A fake service whose spans have all arrived once the context has ended."""
    with collecting() as collector:
        async with opened(FakeService(limits(traces_endpoint=collector.endpoint), **service)) as door:
            yield collector, door


def _value(value: common_pb2.AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, str(kind))


def _begun(span: SeenSpan) -> int:
    return int(span.span.start_time_unix_nano)
