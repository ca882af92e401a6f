"""Spans of a call's parts. They belong to the tracer of the service that took the call; outside of calls there is none."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.trace import (
    NoOpTracer,
    Span,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from serving.errors import DuoscribeError
from speech.audio.v1.audio_pb2 import ModelInfo

Value = str | bool | int | float | Sequence[str]

_NOBODYS = NoOpTracer()

# The tasks of a call inherit it.
current_tracer: ContextVar[Tracer] = ContextVar("current_tracer", default=_NOBODYS)

_NANOSECONDS = 1_000_000_000


@contextmanager
def stage(name: str, **attributes: Value) -> Iterator[Span]:
    """A part of the current call, as a child of its span.

    It is nobody's parent, so that a generator may hold it while those who iterate make spans of their own.
    """
    span = current_tracer.get().start_span(name, attributes=named(attributes))
    try:
        yield span
    except asyncio.CancelledError:
        describe(span, cancelled=True)
        raise
    except Exception as error:
        failed(span, error)
        raise
    finally:
        span.end()


def over(name: str, began: float, ended: float, *, parent: Span | None = None, **attributes: Value) -> Span:
    """A part that has ended before it is told of; times are those of `time.monotonic`, of any process of this machine."""
    span = current_tracer.get().start_span(
        name,
        set_span_in_context(parent) if parent else None,
        attributes=named(attributes),
        start_time=_since_epoch(began),
    )
    span.end(_since_epoch(ended))
    return span


def describe(span: Span | None = None, /, **attributes: Value) -> None:
    """Says more of a span, by default of the current call's."""
    (span or get_current_span()).set_attributes(named(attributes))


def happened(event: str) -> None:
    """Marks a moment of the current call."""
    get_current_span().add_event(event)


def model_names(models: Iterable[ModelInfo]) -> list[str]:
    """With the beginning of their fingerprints, by which models of one name are told apart."""
    return [f"{model.name}@{model.fingerprint[:12]}".removesuffix("@") for model in models]


def failed(span: Span, error: BaseException) -> None:
    """Tells what callers may read of an error: messages and tracebacks of bugs may hold anything."""
    told = error.message if isinstance(error, DuoscribeError) else "internal error"
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR, told))


def named(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """Under the project's own prefix, as OpenTelemetry asks for what it has no convention for."""
    return {f"duoscribe.{name}": value for name, value in attributes.items()}


def _since_epoch(monotonic: float) -> int:
    """Nanoseconds, as spans have them."""
    return time.time_ns() - round((time.monotonic() - monotonic) * _NANOSECONDS)
