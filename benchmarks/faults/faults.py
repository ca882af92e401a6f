"""What goes wrong: each fault strikes one replica, or two, and puts right what it did before it returns."""

import asyncio
import math
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.faults.replicas import Deployment, Replica

# Longer than a gateway here waits for a backend that owes an answer, so that the fault is noticed and not sat out.
HANG_SECONDS = 9.0

_CUT_SECONDS = 0.5
_SLOW_SECONDS = 4.0
_SLOW_DELAY_SECONDS = 0.15

Strike = Callable[[Deployment, random.Random], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """`strike` returns once all replicas serve again."""

    name: str
    strike: Strike
    pause_seconds: float = 0.7
    """The mean between two strikes."""


async def nothing(deployment: Deployment, chance: random.Random) -> None:
    """The control."""


async def kill_backend(deployment: Deployment, chance: random.Random) -> None:
    await _kill(_one_of(deployment, deployment.backends, chance))


async def kill_both_replicas(deployment: Deployment, chance: random.Random) -> None:
    """Of one backend, so that no replica is left to call."""
    both = chance.choice((deployment.asr, deployment.diarization))
    await asyncio.gather(*(_kill(replica) for replica in both))


async def kill_worker(deployment: Deployment, chance: random.Random) -> None:
    """The process that computes dies under a diarization service, which starts another."""
    for worker in _one_of(deployment, deployment.diarization, chance).workers:
        worker.kill()


async def hang_backend(deployment: Deployment, chance: random.Random) -> None:
    async with hung(_one_of(deployment, deployment.backends, chance)):
        await asyncio.sleep(HANG_SECONDS)


async def slow_network(deployment: Deployment, chance: random.Random) -> None:
    async with slowed(_one_of(deployment, deployment.backends, chance)):
        await asyncio.sleep(_SLOW_SECONDS)


async def cut_network(deployment: Deployment, chance: random.Random) -> None:
    """Between gateways and a backend: connections are reset, and new ones refused for a while."""
    replica = _one_of(deployment, deployment.backends, chance)
    replica.proxy.cut()
    await asyncio.sleep(_CUT_SECONDS)
    replica.proxy.heal()


async def swallow_packets(deployment: Deployment, chance: random.Random) -> None:
    """Between gateways and a backend: nothing arrives, and nobody is told."""
    async with swallowed(_one_of(deployment, deployment.backends, chance)):
        await asyncio.sleep(HANG_SECONDS)


async def replace_backend(deployment: Deployment, chance: random.Random) -> None:
    await _one_of(deployment, deployment.backends, chance).replace()


async def replace_gateway(deployment: Deployment, chance: random.Random) -> None:
    await _one_of(deployment, deployment.gateways, chance).replace()


async def kill_gateway(deployment: Deployment, chance: random.Random) -> None:
    await _kill(_one_of(deployment, deployment.gateways, chance))


async def cut_callers(deployment: Deployment, chance: random.Random) -> None:
    """Between callers and a gateway."""
    gateway = _one_of(deployment, deployment.gateways, chance)
    gateway.proxy.cut()
    gateway.proxy.heal()


BACKEND_KILLED = Fault("backend killed", kill_backend)
FAULTS = (
    Fault("none", nothing, pause_seconds=math.inf),
    BACKEND_KILLED,
    Fault("both replicas of a backend killed at once", kill_both_replicas),
    Fault("diarization's worker process killed", kill_worker),
    Fault("backend hung (SIGSTOP)", hang_backend),
    Fault("network to a backend slow", slow_network),
    Fault("network to a backend cut", cut_network),
    Fault("network to a backend swallows everything", swallow_packets),
    Fault("backend drained and replaced", replace_backend),
    Fault("gateway drained and replaced", replace_gateway),
    Fault("gateway killed", kill_gateway),
    Fault("network to the callers cut", cut_callers, pause_seconds=2.0),
)


def any_of(faults: Sequence[Fault]) -> Fault:
    """One of them at a time, in any order."""

    async def strike(deployment: Deployment, chance: random.Random) -> None:
        await chance.choice(faults).strike(deployment, chance)

    return Fault("any of them", strike)


def _one_of(deployment: Deployment, replicas: Sequence[Replica], chance: random.Random) -> Replica:
    """One whose sibling serves, so that there is a replica to turn to."""
    spared = [
        replica
        for replica in replicas
        if replica.is_serving and all(sibling.is_serving for sibling in deployment.siblings(replica))
    ]
    return chance.choice(spared)


async def _kill(replica: Replica) -> None:
    await replica.kill()
    await replica.start()


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
