"""One worker process, seen from the service."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import Any, Protocol

from google.protobuf.message import Message

from diarization_service import frames
from diarization_service.config import WorkerConfig
from diarization_service.exchange import Exchange, WorkerExchange
from diarization_service.frames import Frame, Kind
from diarization_service.reports import Report
from serving import logs
from serving.errors import Unavailable
from speech.diarization.v1.diarization_pb2 import (
    DescribeDiarizationResponse,
    DiarizationConfig,
    DiarizeRequest,
)

# From closing its pipes to its end, a process may take so long.
_LAST_SECONDS = 2.0

_log = logs.get_logger(__name__)


class Worker(Protocol):
    """What computes many recordings at once: `WorkerProcess`, or a test's stand-in."""

    @property
    def description(self) -> DescribeDiarizationResponse:
        """What was loaded and where it runs."""

    @property
    def usable(self) -> bool:
        """Whether it lives."""

    def recording(self, config: DiarizationConfig) -> AbstractAsyncContextManager[Exchange]:
        """A recording's exchange with it. Where the context is left before the last response, the recording is given up."""

    async def ended(self) -> None:
        """Returns once it lives no more."""

    async def close(self) -> None:
        """End it, whatever it is doing."""


class WorkerLost(Unavailable):
    """The process ended by itself: out of memory, a crash, somebody's kill."""


class WorkerProcess:
    """A `diarization_service.worker` that has loaded its models."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
        description: DescribeDiarizationResponse,
        *,
        cancel_grace_seconds: float,
        silence_seconds: float,
        report: Callable[[Report], None],
    ) -> None:
        self.description = description
        self._process = process
        self._stdin = stdin
        self._stdout = stdout
        self._cancel_grace_seconds = cancel_grace_seconds
        self._silence_seconds = silence_seconds
        self._report = report
        self._numbers = count(1)
        self._exchanges: dict[int, WorkerExchange] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        *command: str,
        environment: Mapping[str, str] | None = None,
        cancel_grace_seconds: float = 5.0,
        silence_seconds: float = 60.0,
        report: Callable[[Report], None] = lambda _: None,
    ) -> "WorkerProcess":
        """Run `command` and wait until it is ready. Raises Unavailable where it ends before that.

        It is killed where it computes for longer than the grace for a recording that was given up, and where it says
        nothing for `silence_seconds`: it was stopped, or hangs. `report` is called with what it says of its work.
        """
        # A session of its own: Ctrl-C in a terminal reaches the service alone, which drains while the worker works on.
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=environment,
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the worker was started without pipes")
        return cls(
            process,
            process.stdin,
            process.stdout,
            await _description(process, process.stdout),
            cancel_grace_seconds=cancel_grace_seconds,
            silence_seconds=silence_seconds,
            report=report,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usable(self) -> bool:
        return self._process.returncode is None and not self._reading.done()

    @asynccontextmanager
    async def recording(self, config: DiarizationConfig) -> AsyncIterator[WorkerExchange]:
        if not self.usable:
            raise _lost()
        number = next(self._numbers)

        async def send(request: DiarizeRequest) -> None:
            self._write(Kind.REQUEST, number, request)
            await self._drained()

        exchange = self._exchanges[number] = WorkerExchange(send)
        self._write(Kind.REQUEST, number, DiarizeRequest(config=config))
        try:
            yield exchange
        finally:
            if not exchange.over.is_set() and self.usable:
                self._write(Kind.CANCEL, number)
                self._in_background(self._see_given_up(exchange))

    async def ended(self) -> None:
        await asyncio.wait({self._reading})

    async def close(self) -> None:
        self._is_closing = True
        for task in self._leaving:
            task.cancel()
        self._kill()
        await self.ended()

    async def _read(self) -> None:
        """Hands each frame to whom it is for, until the process has ended."""
        try:
            while True:
                async with asyncio.timeout(self._silence_seconds):
                    frame = await frames.read(self._stdout)
                self._take(frame)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            exit_code = await self._exit_code()
            if not self._is_closing:
                _log.error("worker ended by itself", pid=self.pid, exit_code=exit_code)
            for exchange in self._exchanges.values():
                exchange.fail(_lost())
            self._exchanges.clear()

    async def _exit_code(self) -> int:
        """Of a process that says nothing more; it is killed only where it goes on, for killing a dead one hides its code."""
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            self._kill()
            return await self._process.wait()

    def _take(self, frame: Frame) -> None:
        if frame.kind == Kind.REPORT:
            self._report(Report.from_bytes(frame.payload))
            return
        exchange = self._exchanges.get(frame.recording)
        if exchange is None:
            return
        exchange.take(frame.kind, frame.payload)
        if exchange.over.is_set():
            del self._exchanges[frame.recording]

    async def _see_given_up(self, exchange: WorkerExchange) -> None:
        try:
            async with asyncio.timeout(self._cancel_grace_seconds):
                await exchange.over.wait()
        except TimeoutError:
            _log.warning("worker killed: it did not give up a recording", pid=self.pid)
            self._is_closing = True
            self._kill()

    def _write(self, kind: Kind, recording: int, message: Message | None = None) -> None:
        self._stdin.write(frames.encode(kind, recording, message))

    async def _drained(self) -> None:
        try:
            await self._stdin.drain()
        except ConnectionError:
            raise _lost() from None

    def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def worker_command(config: WorkerConfig) -> tuple[str, ...]:
    """The command that starts a worker with real models."""
    return sys.executable, "-P", "-m", "diarization_service.worker", config.to_json()


def worker_environment() -> dict[str, str]:
    """The environment of a worker with real models.

    torch's threads wait for each other by spinning, unless told otherwise. Where other processes want the same cores, that
    starves the very threads waited for: two workers on two cores were not done in 70 s with what takes 6.7 s so, and 3.8 s
    instead of 3.4 s where a worker is alone. NumPy's products are small and made by many threads already.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1", **os.environ}


async def _description(
    process: asyncio.subprocess.Process, stdout: asyncio.StreamReader
) -> DescribeDiarizationResponse:
    """What the process says first. Raises Unavailable."""
    try:
        frame = await frames.read(stdout)
    except (asyncio.IncompleteReadError, ConnectionError):
        await _end(process)
        raise Unavailable(
            "a diarization worker did not start; the service's operator finds the reason in its log"
        ) from None
    except BaseException:
        await _end(process)
        raise
    return DescribeDiarizationResponse.FromString(frame.payload)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    # Reads the pipes to their end; wait() alone would hang on what is left in them.
    await process.communicate()


def _lost() -> WorkerLost:
    return WorkerLost("the process that computed this recording ended; send it again, or to another replica")
