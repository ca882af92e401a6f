"""OpenTelemetry's SDK and its exporter over gRPC, loaded by those who export only."""

import logging
import os
import socket
import threading
from collections.abc import Sequence
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from serving import logs

# At the end, for what waits; an exporter by itself would take up to 30 s for a collector that does not answer.
_LAST_SECONDS = 3.0

# Of a header in OTEL_EXPORTER_OTLP_HEADERS that it cannot read, it would log all, and these are credentials.
_HEADERS = "opentelemetry.util.re"

# That a try failed or a queue is full, and, as an error, that an exporter has a bug.
_PROCESSOR = "opentelemetry.sdk._shared_internal"
_COMPLAINING = ("opentelemetry.exporter.otlp.proto.grpc.exporter", _PROCESSOR)

_log = logs.get_logger(__name__)


class Exporting:
    """A tracer whose spans go to `endpoint`."""

    def __init__(self, endpoint: str, service: str) -> None:
        self._delivery = _Delivery(OTLPSpanExporter(endpoint))
        # By itself it would register for the interpreter's end, which comes after threads are left behind.
        self._provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._delivery))
        self.tracer = self._provider.get_tracer("duoscribe", version("duoscribe"))
        _log.info("traces are sent", endpoint=endpoint)

    def close(self) -> None:
        """Deliver what waits, in seconds at most; the rest is dropped. Blocks."""
        timer = threading.Timer(_LAST_SECONDS, self._delivery.give_up)
        timer.daemon = True
        timer.start()
        self._provider.shutdown()
        timer.cancel()
        self._delivery.complaints.close()


def _redact(record: logging.LogRecord) -> bool:
    record.args = ("(not shown)",)
    return True


logging.getLogger(_HEADERS).addFilter(_redact)


class _Delivery(SpanExporter):
    """Says once that spans do not arrive, and once that they do again; the library says it of every batch and every try."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self.complaints = _Complaints()
        self._arriving = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        arriving = result is SpanExportResult.SUCCESS
        if arriving and not self._arriving:
            _log.info("traces arrive again")
        elif self._arriving and not arriving:
            _log.warning("traces do not arrive; calls go on without", reason=self.complaints.last)
        self._arriving = arriving
        return result

    def give_up(self) -> None:
        """Ends a delivery that goes on, and all that would follow."""
        self._exporter.shutdown()

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _Complaints(logging.Filter):
    """Keeps what the libraries log of deliveries out of the log, and remembers the last of it; bugs of theirs pass."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""
        for name in _COMPLAINING:
            # Before the libraries' own filters, which hide what they have seen lately.
            logging.getLogger(name).filters.insert(0, self)

    def filter(self, record: logging.LogRecord) -> bool:
        self.last = record.getMessage()
        return record.levelno >= logging.ERROR and record.name == _PROCESSOR

    def close(self) -> None:
        for name in _COMPLAINING:
            logging.getLogger(name).removeFilter(self)


def _resource(service: str) -> Resource:
    """Who makes the spans; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before."""
    own = {
        "service.name": service,
        "service.version": version("duoscribe"),
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        "host.name": socket.gethostname(),
    }
    return Resource.create({**own, **OTELResourceDetector().detect().attributes})
