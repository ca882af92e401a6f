"""What the gateway counts of its callers. docs/operations.md says what each of it is good for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge

# All callers whom no file of the operator's names: there may be any number of them.
_OTHERS = "others"


class AccessMetrics:
    """`is_named` tells whether a caller's name stands in the configuration; no other is ever a label."""

    def __init__(self, registry: CollectorRegistry, is_named: Callable[[str], bool]) -> None:
        self._is_named = is_named
        self._refused = Counter(
            "duoscribe_gateway_refused_calls",
            "Calls refused for who made them.",
            ["reason"],
            registry=registry,
        )
        self._streams = Gauge(
            "duoscribe_gateway_caller_streams",
            "A caller's recordings in flight.",
            ["caller"],
            registry=registry,
        )
        self._audio = Counter(
            "duoscribe_gateway_caller_audio_seconds",
            "Audio decoded for a caller.",
            ["caller"],
            registry=registry,
        )

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    @contextmanager
    def stream(self, caller: str) -> Iterator[None]:
        with self._streams.labels(self._label(caller)).track_inprogress():
            yield

    def decoded(self, caller: str, seconds: float) -> None:
        self._audio.labels(self._label(caller)).inc(seconds)

    def _label(self, caller: str) -> str:
        return caller if self._is_named(caller) else _OTHERS
