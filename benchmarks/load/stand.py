"""The processes under load: fake backends, and in front of them the gateway or what it is compared with."""

import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scraping import ANY_PORT
from gateway.supervisor import Launch, running_services

# What stands in front: the gateway, and the two of benchmarks.load.bare.
FRONTS = ("sink", "relay", "gateway")
_BACKENDS = ("recognition", "diarization")


@dataclass(frozen=True)
class Front:
    """Who takes the uploads. `metrics` is where it tells its metrics; the bare ones have none."""

    address: str
    pid: int
    metrics: str | None


@asynccontextmanager
async def standing(kind: str, flags: Sequence[str] = ()) -> AsyncIterator[Front]:
    """One of FRONTS with its backends; `flags` are more of the gateway's. Raises ServiceDied."""
    with tempfile.TemporaryDirectory() as folder:
        backends = [
            Launch(name, "benchmarks.load.backend", (name, f"--address=unix:{folder}/{name}.sock"))
            for name in _BACKENDS
        ]
        async with running_services(
            backends, directory=Path(folder), sink=sys.stderr.buffer.write, grace_seconds=5
        ) as behind:
            launch = _front(kind, [behind.addresses[name] for name in _BACKENDS], flags)
            with tempfile.TemporaryDirectory() as own:
                async with running_services(
                    [launch], directory=Path(own), sink=sys.stderr.buffer.write, grace_seconds=20
                ) as front:
                    [process] = front.processes
                    yield Front(front.addresses[kind], process.pid, process.announced.get("metrics_address"))


def _front(kind: str, backends: Sequence[str], flags: Sequence[str]) -> Launch:
    asr, diarization = backends
    places = ("--address=127.0.0.1:0", f"--asr={asr}", f"--diarization={diarization}")
    if kind != "gateway":
        return Launch(kind, "benchmarks.load.bare", (kind, *places))
    told = (f"--metrics-address={ANY_PORT}", "--log-level=error")
    return Launch(kind, "gateway", (*places, *told, *flags))
