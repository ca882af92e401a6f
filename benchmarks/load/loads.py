"""The loads that the gateway is put under."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.load.callers import Plan
from benchmarks.load.recordings import Sent, recording

LOADS = ("fast", "paced", "mixed")

_MANY = 200
_RECORDING_SECONDS = 60.0
_FAST_CHUNK = 128 * 1024
_BYTES_PER_SECOND = 32_000
_LARGEST_CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True)
class Described:
    """A load by its name; `comparable` where the bare fronts can take it as well, which decode nothing."""

    name: str
    plans: Sequence[Plan]
    comparable: bool = True

    @property
    def callers(self) -> int:
        return sum(plan.callers for plan in self.plans)


def described(
    loads: Sequence[str], *, at_once: Sequence[int], seconds: float, formats: Sequence[str]
) -> Iterator[Described]:
    if "fast" in loads:
        for kind in formats:
            sent = recording(kind, _RECORDING_SECONDS)
            for callers in at_once:
                fast = planned(f"{kind}, fast", sent, _FAST_CHUNK, callers=callers, seconds=seconds)
                yield Described(f"{kind}, as fast as taken, {callers} at once", [fast], kind == "pcm")
    if "paced" in loads:
        for milliseconds in (100, 20):
            name = f"pcm, real time, {milliseconds} ms a message, {_MANY} at once"
            yield Described(name, [_paced(milliseconds, _MANY, seconds)])
    if "mixed" in loads:
        yield Described(f"mixed, {_MANY} at once", mixed(seconds), comparable=False)


def mixed(seconds: float) -> list[Plan]:
    """Mostly callers in real time, whom the others must not keep waiting."""
    long = recording("pcm", 4 * _RECORDING_SECONDS)
    short = recording("pcm", seconds)
    return [
        _paced(100, 170, seconds),
        planned("20 ms a message", short, 640, callers=10, seconds=seconds, interval=0.02),
        planned("4 MiB a message", long, _LARGEST_CHUNK, callers=5, seconds=seconds),
        planned(
            "slow reader",
            long,
            _FAST_CHUNK,
            callers=10,
            seconds=seconds,
            read_interval=1.0,
            deadline=3 * seconds,
        ),
        planned(
            "never reads",
            long,
            _FAST_CHUNK,
            callers=5,
            seconds=seconds,
            read_interval=None,
            deadline=3 * seconds,
        ),
    ]


def _paced(milliseconds: int, callers: int, seconds: float) -> Plan:
    sent = recording("pcm", seconds)
    chunk = _BYTES_PER_SECOND * milliseconds // 1000
    return planned(
        f"{milliseconds} ms a message",
        sent,
        chunk,
        callers=callers,
        seconds=seconds,
        interval=milliseconds / 1000,
        ramp=seconds / 2,
    )


def planned(label: str, sent: Sent, chunk: int, **more: Any) -> Plan:
    """Its address is known once the front stands."""
    return Plan(
        label=label,
        address="",
        config=sent.config,
        recording=sent.content,
        audio_seconds=sent.seconds,
        chunk=chunk,
        **more,
    )
