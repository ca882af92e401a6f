"""Structured logs on standard error: one JSON object a line, or coloured lines for people.

Logs hold ids, sizes, times and tracebacks; never audio, nor text of transcripts. That is why tracebacks are printed
without local variables.
"""

import logging
import sys
import uuid
from typing import TextIO

import structlog
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "json", "console")

MAX_REQUEST_ID_CHARS = 128


def configure(
    level: str = "info",
    format: str = "auto",  # noqa: A002 - the flag's name
    stream: TextIO | None = None,
) -> None:
    """Send this process's logs, those of libraries included, to `stream`, by default standard error.

    `format` is "json", "console", or "auto": console on a terminal, else JSON.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_span,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(format, stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines carry the request id and the trace of the call they were written in."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger


def is_request_id(text: str) -> bool:
    """Whether a caller's name for a recording may stand in logs: 1 to MAX_REQUEST_ID_CHARS printable characters."""
    return 0 < len(text) <= MAX_REQUEST_ID_CHARS and text.isprintable()


def bind_call(method: str, request_id: str | None) -> None:
    """Name the current call in all its log lines; without an id one is made up."""
    structlog.contextvars.bind_contextvars(method=method, request_id=request_id or uuid.uuid4().hex)


def bind_request_id(request_id: str) -> None:
    """Rename the current call in all its log lines, those of tasks started from here on included."""
    structlog.contextvars.bind_contextvars(request_id=request_id)


def bind_caller(name: str) -> None:
    """Say in all log lines of the current call, those of tasks started from here on included, who makes it."""
    structlog.contextvars.bind_contextvars(caller=name)


def current_request_id() -> str:
    """The id bound for the current call; without one, a new one."""
    bound = structlog.contextvars.get_contextvars().get("request_id")
    return str(bound) if bound is not None else uuid.uuid4().hex


def _add_span(_logger: WrappedLogger, _level: str, line: EventDict) -> EventDict:
    """The call's place in its trace, be that exported from here or not; the names are OpenTelemetry's for logs."""
    span = get_current_span().get_span_context()
    if span.is_valid:
        line["trace_id"] = format_trace_id(span.trace_id)
        line["span_id"] = format_span_id(span.span_id)
    return line


def _renderers(format: str, stream: TextIO) -> list[Processor]:  # noqa: A002 - the flag's name
    if format == "console" or (format == "auto" and stream.isatty()):
        console = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        return [console]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
