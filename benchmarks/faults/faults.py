"""What goes wrong. Each fault strikes one of two replicas, so that there is one to turn to, or both, and puts right what it did."""

import asyncio
import math
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.faults.replicas import Deployment, Replica

# Longer than a gateway here waits for a backend that owes an answer, so that the fault is noticed and not sat out.
_HANG_SECONDS = 9.0
_CUT_SECONDS = 0.5
_SLOW_SECONDS = 4.0
_SLOW_DELAY_SECONDS = 0.15

Services = Callable[[Deployment], tuple[tuple[Replica, ...], ...]]
"""The replicas of each service that may be struck."""


def gateways(deployment: Deployment) -> tuple[tuple[Replica, ...], ...]:
    return (deployment.gateways,)


def backends(deployment: Deployment) -> tuple[tuple[Replica, ...], ...]:
    return deployment.asr, deployment.diarization


def diarization(deployment: Deployment) -> tuple[tuple[Replica, ...], ...]:
    return (deployment.diarization,)


@dataclass(frozen=True)
class Fault:
    """`strike` returns once the replica serves again."""

    name: str
    services: Services
    strike: Callable[[Replica], Awaitable[None]]
    at_once: int = 1
    """Replicas of a service that are struck together."""
    pause_seconds: float = 2.0
    """The mean between two strikes."""

    def targets(self, deployment: Deployment, chance: random.Random) -> list[Replica]:
        """Of a service whose replicas all serve; nobody where there is none."""
        whole = [
            service for service in self.services(deployment) if all(replica.is_serving for replica in service)
        ]
        return chance.sample(chance.choice(whole), self.at_once) if whole else []


async def kill(replica: Replica) -> None:
    await replica.kill()
    await replica.start()


async def kill_worker(replica: Replica) -> None:
    """The process that computes dies under its service, which starts another."""
    replica.kill_children(".worker")


async def kill_decoders(replica: Replica) -> None:
    """Those at work, and the one that they are forked from."""
    replica.kill_children(".decoding")


async def hang(replica: Replica) -> None:
    async with hung(replica):
        await asyncio.sleep(_HANG_SECONDS)


async def swallow(replica: Replica) -> None:
    """Nothing arrives, and nobody is told."""
    async with swallowed(replica):
        await asyncio.sleep(_HANG_SECONDS)


async def slow(replica: Replica) -> None:
    async with slowed(replica):
        await asyncio.sleep(_SLOW_SECONDS)


async def cut(replica: Replica) -> None:
    """Connections are reset, and new ones refused for a while."""
    replica.proxy.cut()
    await asyncio.sleep(_CUT_SECONDS)
    replica.proxy.heal()


BACKEND_KILLED = Fault("backend killed", backends, kill)
FAULTS = (
    BACKEND_KILLED,
    Fault("both replicas of a backend killed at once", backends, kill, at_once=2, pause_seconds=6.0),
    Fault("diarization's worker process killed", diarization, kill_worker),
    Fault("backend hung (SIGSTOP)", backends, hang),
    Fault("network to a backend slow", backends, slow),
    Fault("network to a backend cut", backends, cut),
    Fault("network to a backend swallows everything", backends, swallow),
    Fault("backend drained and replaced", backends, Replica.replace),
    Fault("gateway drained and replaced", gateways, Replica.replace),
    Fault("gateway's decoders killed", gateways, kill_decoders, pause_seconds=4.0),
    Fault("gateway killed", gateways, kill, pause_seconds=6.0),
    Fault("network to a gateway's callers cut", gateways, cut, pause_seconds=6.0),
)
NONE = Fault("none", backends, kill, pause_seconds=math.inf)


@asynccontextmanager
async def hung(replica: Replica) -> AsyncIterator[None]:
    """Its process is stopped meanwhile, and goes on then."""
    pid = replica.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def swallowed(replica: Replica) -> AsyncIterator[None]:
    replica.proxy.swallow()
    try:
        yield
    finally:
        replica.proxy.heal()


@asynccontextmanager
async def slowed(replica: Replica) -> AsyncIterator[None]:
    replica.proxy.delay_seconds = _SLOW_DELAY_SECONDS
    try:
        yield
    finally:
        replica.proxy.heal()
