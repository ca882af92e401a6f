"""Runs services as child processes: starts them, waits until they serve, notices their death, stops them.

A child is a process of its own with a process group of its own, so that Ctrl-C reaches the parent only and the parent
ends the children in order. `gateway.leash` ends them where the parent could not.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.errors import DuoscribeError

# What a service wrote last, kept to explain its death.
_TAIL_BYTES = 8 * 1024
_TAIL_LINES = 12
# A worker that outlives its service may hold the pipe open; its output is not waited for any longer.
_LAST_WORDS_SECONDS = 1.0
_STDERR = 2
# A watch of health that broke off is begun anew after this.
_WATCH_AGAIN_SECONDS = 0.2

Sink = Callable[[bytes], object]
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a service: `name` is for messages, `module` is run as `python -m` would."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()


class ServiceDied(DuoscribeError):  # noqa: N818 - named after what happened, like its siblings
    """A service that should be running has ended; the message is the summary and the last lines that it wrote."""

    def __init__(self, name: str, exit_code: int, last_lines: Sequence[str]) -> None:
        how = f"signal {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
        said = "".join(f"\n  {line}" for line in last_lines)
        self.summary = f"the {name} service ended with {how}"
        super().__init__(self.summary + (f"; its last lines:{said}" if said else ""))


class _Output(asyncio.SubprocessProtocol):
    """What a child says, and that it ended: asyncio's own `Process.wait` would also wait for the child's workers, as
    long as they hold its pipes open.
    """

    def __init__(self, sink: Sink) -> None:
        self.announced = asyncio.Event()
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()
        self.first_line = ""
        self._stdout = bytearray()
        self._tail = bytearray()
        self._sink = sink

    @property
    def last_lines(self) -> list[str]:
        return self._tail.decode(errors="replace").splitlines()[-_TAIL_LINES:]

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        chunk = data.encode() if isinstance(data, str) else data
        if fd == _STDERR:
            self._tail += chunk
            del self._tail[:-_TAIL_BYTES]
            self._sink(chunk)
        elif not self.announced.is_set():
            self._read_first_line(chunk)

    def pipe_connection_lost(self, fd: int, _error: Exception | None) -> None:
        if fd == _STDERR:
            self.silent.set()

    def process_exited(self) -> None:
        self.exited.set()

    def _read_first_line(self, chunk: bytes) -> None:
        self._stdout += chunk
        line, end, _ = self._stdout.partition(b"\n")
        if end:
            self.first_line = line.decode()
            self.announced.set()


class ServiceProcess:
    """A service that was started. Made by `start`."""

    def __init__(self, name: str, transport: asyncio.SubprocessTransport, output: _Output) -> None:
        self.name = name
        self.pid = transport.get_pid()
        self._transport = transport
        self._output = output

    @classmethod
    async def start(cls, launch: Launch, directory: Path, sink: Sink) -> "ServiceProcess":
        """Start without waiting; `sink` is given what the service writes to standard error, as it comes."""
        transport, output = await asyncio.get_running_loop().subprocess_exec(
            lambda: _Output(sink),
            *(sys.executable, "-P", "-m", "gateway.leash", str(directory), launch.module, *launch.arguments),
            process_group=0,
        )
        return cls(launch.name, transport, output)

    @property
    def announced(self) -> dict[str, str]:
        """Where it listens, by its own word, once it is ready: "address", "metrics_address"."""
        addresses: dict[str, str] = json.loads(self._output.first_line)
        return addresses

    async def ready(self) -> str:
        """Wait until health says SERVING, and give the service's address. Raises ServiceDied."""
        return await _before(self._become_ready(), self.death())

    async def death(self) -> ServiceDied:
        """Wait for the process to end, and say how it did."""
        await self._output.exited.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._output.silent.wait()
        return ServiceDied(self.name, self._transport.get_returncode() or 0, self._output.last_lines)

    async def stop(self, grace_seconds: float) -> None:
        """SIGTERM; after `grace_seconds`, or when this is cancelled, SIGKILL for the whole group."""
        try:
            with suppress(TimeoutError, ProcessLookupError):
                self._transport.terminate()
                async with asyncio.timeout(grace_seconds):
                    await self._output.exited.wait()
        finally:
            self._kill_group()
        await self._output.exited.wait()
        self._transport.close()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nobody is left, or zombies only
            os.killpg(self.pid, signal.SIGKILL)

    async def _become_ready(self) -> str:
        await self._output.announced.wait()
        address = self.announced["address"]
        # Where there is one, this address speaks plain text, whatever the other one speaks.
        await _serving(self.announced.get("health_address", address))
        return address


@dataclass(frozen=True, slots=True)
class Services:
    """Services that serve; `addresses` by their names."""

    addresses: dict[str, str]
    processes: tuple[ServiceProcess, ...]

    async def while_alive(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Do the work; cancel it and raise ServiceDied should a service end before."""
        return await _before(work, self.first_death())

    async def first_death(self) -> ServiceDied:
        """Wait until one of them ends."""
        dying = [asyncio.create_task(process.death()) for process in self.processes]
        try:
            done, _ = await asyncio.wait(dying, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in dying:
                task.cancel()


@asynccontextmanager
async def running_services(
    launches: Sequence[Launch], *, directory: Path, sink: Sink, grace_seconds: float
) -> AsyncIterator[Services]:
    """Start all at once, wait until all serve, and stop them in the end, the last one first, then the others together.

    `directory` is private to these services, and removed if this process is killed. Raises ServiceDied.
    """
    async with AsyncExitStack() as stack:
        processes: list[ServiceProcess] = []
        stack.push_async_callback(_stop_all, processes, grace_seconds)
        for launch in launches:
            # One by one, so that those already started are stopped where the next one fails.
            processes += [await ServiceProcess.start(launch, directory, sink)]
        addresses = await _all_ready(processes)
        yield Services(addresses, tuple(processes))


async def _all_ready(processes: Sequence[ServiceProcess]) -> dict[str, str]:
    waiting = {process.name: asyncio.create_task(process.ready()) for process in processes}
    try:
        await asyncio.gather(*waiting.values())
    finally:
        for task in waiting.values():
            task.cancel()
    return {name: task.result() for name, task in waiting.items()}


async def _stop_all(processes: Sequence[ServiceProcess], grace_seconds: float) -> None:
    """The last one serves with the help of the others, so it drains while they still run."""
    for together in (processes[-1:], processes[:-1]):
        await asyncio.gather(*(process.stop(grace_seconds) for process in together))


async def _before(work: Coroutine[Any, Any, ResultT], death: Coroutine[Any, Any, ServiceDied]) -> ResultT:
    """The work's result; cancels it and raises the death where that comes first."""
    working, dying = asyncio.create_task(work), asyncio.create_task(death)
    try:
        await asyncio.wait({working, dying}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise dying.result()
    finally:
        working.cancel()
        dying.cancel()
        await asyncio.wait({working, dying})


async def _serving(address: str) -> None:
    """Wait for the service's health; for ever where it goes down before, since its death says more."""
    async with aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            if await _seen_serving(stub):
                return
            await asyncio.sleep(_WATCH_AGAIN_SECONDS)


async def _seen_serving(stub: health_pb2_grpc.HealthStub) -> bool:
    """Whether one watch, which ends with the server at the latest, saw it serve."""
    with suppress(aio.AioRpcError):
        async for health in stub.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True):
            if health.status == health_pb2.HealthCheckResponse.SERVING:
                return True
    return False
