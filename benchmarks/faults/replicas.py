"""Gateways and backends as processes, each behind a proxy."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from benchmarks.faults.proxy import Proxy
from benchmarks.scraping import ANY_PORT, scraped
from gateway.supervisor import Launch, ServiceProcess, Sink

REPLICAS = 2

# From being left out by callers to being told to end, as a preStop hook waits: who has connected gets to call.
_BEFORE_DRAIN_SECONDS = 1.0
# Longer than --drain-seconds, so that a process which drains is not killed.
_GRACE_SECONDS = 45.0

_COMMON = (
    f"--address={ANY_PORT}",
    f"--metrics-address={ANY_PORT}",
    "--log-format=json",
    "--max-streams=64",
)
_MODULES = {
    "deterministic": ("benchmarks.deterministic.asr", "benchmarks.deterministic.diarization"),
    "real": ("asr_service", "diarization_service"),
}


class Replica:
    """A process that serves, and the one that takes its place after it; known by its proxy's address."""

    def __init__(self, launch: Launch, proxy: Proxy, folder: Path, sink: Sink) -> None:
        self.name = launch.name
        self.proxy = proxy
        self.is_serving = True
        """Whether it has started, and nothing is being done to it."""
        self._launch = launch
        self._folder = folder
        self._sink = sink
        self._process: ServiceProcess | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self._process.pid

    def kill_children(self, module: str) -> None:
        """Processes that it started to run a module whose name ends so, and those forked from them."""
        for process in psutil.Process(self.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it ends by itself
                if any(argument.endswith(module) for argument in process.cmdline()):
                    process.kill()

    async def streams(self) -> int:
        """Recordings in flight, by its own account."""
        if self._process is None:
            return 0
        samples = await asyncio.to_thread(scraped, self._process.announced["metrics_address"])
        (streams,) = (sample.value for sample in samples if sample.name == "duoscribe_streams")
        return round(streams)

    async def start(self) -> None:
        """Raises ServiceDied."""
        self._process = await ServiceProcess.start(self._launch, self._folder, self._sink)
        self.proxy.target = await self._process.ready()

    async def kill(self) -> None:
        """As the kernel does it when memory runs out: no warning, no farewell."""
        os.kill(self.pid, signal.SIGKILL)
        await self.stop()

    async def stop(self) -> None:
        """It drains."""
        process, self._process = self._process, None
        if process is not None:
            await process.stop(_GRACE_SECONDS)

    async def replace(self) -> None:
        """As in a rolling update: another one takes new connections, then this one drains."""
        before, self._process = self._process, None
        await self.start()
        await asyncio.sleep(_BEFORE_DRAIN_SECONDS)
        if before is not None:
            await before.stop(_GRACE_SECONDS)


@dataclass(frozen=True)
class Deployment:
    """Two replicas of each service."""

    gateways: tuple[Replica, ...]
    asr: tuple[Replica, ...]
    diarization: tuple[Replica, ...]
    spool: Path

    @property
    def backends(self) -> tuple[Replica, ...]:
        return self.asr + self.diarization

    @property
    def replicas(self) -> tuple[Replica, ...]:
        return self.gateways + self.backends

    def heal(self) -> None:
        for replica in self.replicas:
            replica.proxy.heal()


@asynccontextmanager
async def deployed(
    folder: Path, engines: str, more: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> AsyncIterator[Deployment]:
    """Until the context ends; `folder` is private to these processes, `more` are further flags, by service or by
    replica ("asr", "asr-0"). Raises ServiceDied.
    """
    spool = folder / "spool"
    spool.mkdir()
    asr, diarization = _MODULES[engines]
    async with AsyncExitStack() as stack:

        async def several(name: str, module: str, *flags: str) -> tuple[Replica, ...]:
            names = [f"{name}-{index}" for index in range(REPLICAS)]
            every = (*_COMMON, *flags, *more.get(name, ()))
            launches = [Launch(each, module, (*every, *more.get(each, ()))) for each in names]
            return tuple([await _behind_a_proxy(launch, folder, stack) for launch in launches])

        asrs = await several("asr", asr)
        diarizations = await several("diarization", diarization, "--recordings=64")
        backends = [f"--asr={replica.proxy.address}" for replica in asrs]
        backends += [f"--diarization={replica.proxy.address}" for replica in diarizations]
        storage = (f"--spool-directory={spool}", "--spool-memory-bytes=200000")
        gateways = await several("gateway", "gateway", *backends, *storage)
        deployment = Deployment(gateways, asrs, diarizations, spool)
        await _all(deployment.replicas, Replica.start)
        try:
            yield deployment
        finally:
            await _all(deployment.gateways, Replica.stop)
            await _all(deployment.backends, Replica.stop)


async def _behind_a_proxy(launch: Launch, folder: Path, stack: AsyncExitStack) -> Replica:
    proxy = await stack.enter_async_context(Proxy.listening())
    log = stack.enter_context((folder / f"{launch.name}.log").open("wb", buffering=0))
    return Replica(launch, proxy, folder, log.write)


async def _all(replicas: Sequence[Replica], do: Callable[[Replica], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for replica in replicas:
            tasks.create_task(do(replica))
