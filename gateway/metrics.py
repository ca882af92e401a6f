"""What the gateway counts. docs/operations.md says what each of them is good for."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import grpc
from google.rpc import code_pb2
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.measuring import Measured, stage_name
from gateway.reports import Stage
from gateway.spool import Spool
from serving.admission import CUT
from serving.call_metrics import code_of
from serving.metrics import exemplar
from serving.status import most_telling

_Context = grpc.aio.ServicerContext[Any, Any]

Outcome: TypeAlias = Literal["complete", "partial", "failed", "cancelled"]

# What ends a recording by its caller's doing: leaving, a deadline, silence.
_CALLERS_ENDINGS = {code_pb2.CANCELLED, code_pb2.DEADLINE_EXCEEDED}

_USUAL: tuple[tuple[Outcome, code_pb2.Code], ...] = (
    ("complete", code_pb2.OK),
    ("partial", code_pb2.OK),
    ("failed", code_pb2.UNAVAILABLE),
    ("failed", code_pb2.INTERNAL),
    ("cancelled", code_pb2.CANCELLED),
)

# From a short recording on a GPU to one of hours on a CPU.
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 7200)
_REAL_TIME_FACTORS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)


class GatewayMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._spools: set[Spool] = set()
        self._recordings = Counter(
            "duoscribe_gateway_recordings",
            "Recordings that ended, and how.",
            ["outcome", "code"],
            registry=registry,
        )
        self._received = Counter(
            "duoscribe_gateway_received_bytes", "Audio uploaded, as it was encoded.", registry=registry
        )
        self._first_segment = Histogram(
            "duoscribe_gateway_first_segment_seconds",
            "From a recording's first byte to the first segment sent.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._completion = Histogram(
            "duoscribe_gateway_completion_seconds",
            "From a recording's last byte to its last event.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._real_time_factor = Histogram(
            "duoscribe_gateway_real_time_factor",
            "Time that a recording took, its upload included, over its length.",
            ["stage"],
            buckets=_REAL_TIME_FACTORS,
            registry=registry,
        )
        self._calls = Counter(
            "duoscribe_gateway_backend_calls",
            "Calls made for a stage of a recording that ended, by their code.",
            ["stage", "code"],
            registry=registry,
        )
        self._replays = Counter(
            "duoscribe_gateway_replays",
            "Recordings sent to a backend once more, by the code of the call before.",
            ["stage", "code"],
            registry=registry,
        )
        # Prometheus takes no rise from a series' first value, so these are there before their first recording.
        for outcome, code in _USUAL:
            self._recordings.labels(outcome, code_pb2.Code.Name(code))
        self._tell_spools(registry)

    @contextmanager
    def recording(self, spool: Spool, context: _Context) -> Iterator[Measured]:
        """Around all that is done for a recording."""
        measured = Measured(self._received.inc)
        self._spools.add(spool)
        try:
            yield measured
        except BaseException as error:
            self._count(*_failure(error, context))
            raise
        else:
            self._count("partial" if measured.is_partial else "complete", code_pb2.OK)
        finally:
            self._spools.discard(spool)
            self._observe(measured)

    def call_ended(self, stage: Stage, code: int, *, again: bool) -> None:
        """A call of a backend; `again` where the recording is sent once more."""
        labels = stage_name(stage), code_pb2.Code.Name(code)
        self._calls.labels(*labels).inc()
        if again:
            self._replays.labels(*labels).inc()

    def _count(self, outcome: Outcome, code: int) -> None:
        self._recordings.labels(outcome, code_pb2.Code.Name(code)).inc()

    def _observe(self, measured: Measured) -> None:
        trace = exemplar()
        if measured.first_segment_seconds is not None:
            self._first_segment.observe(measured.first_segment_seconds, trace)
        if measured.completion_seconds is not None:
            self._completion.observe(measured.completion_seconds, trace)
        for stage, factor in measured.real_time_factors.items():
            self._real_time_factor.labels(stage).observe(factor, trace)

    def _tell_spools(self, registry: CollectorRegistry) -> None:
        """Asked when they are scraped, by another thread, so that writing to them costs nothing."""
        spooled = Gauge(
            "duoscribe_gateway_spool_bytes",
            "Decoded audio of recordings in flight, by where it is.",
            ["place"],
            registry=registry,
        )
        spooled.labels("memory").set_function(
            lambda: sum(spool.bytes_in_memory for spool in tuple(self._spools))
        )
        spooled.labels("disk").set_function(lambda: sum(spool.bytes_on_disk for spool in tuple(self._spools)))


def _failure(error: BaseException, context: _Context) -> tuple[Outcome, int]:
    told = most_telling(error)
    if isinstance(told, asyncio.CancelledError) and told.args == (CUT,):
        return "failed", code_pb2.UNAVAILABLE
    code = code_of(error, context)
    return ("cancelled" if code in _CALLERS_ENDINGS else "failed"), code
