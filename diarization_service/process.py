"""One worker process, seen from the service."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Protocol

from google.rpc.status_pb2 import Status

from diarization_service import frames
from diarization_service.config import WorkerConfig
from diarization_service.frames import Kind
from serving import logs
from serving.errors import StageFailed, Unavailable
from speech.audio.v1.audio_pb2 import EndOfAudio
from speech.diarization.v1.diarization_pb2 import (
    DescribeDiarizationResponse,
    DiarizationConfig,
    DiarizeRequest,
    DiarizeResponse,
)

_log = logs.get_logger(__name__)


class Worker(Protocol):
    """What computes one recording after the other: `WorkerProcess`, or a test's stand-in."""

    @property
    def description(self) -> DescribeDiarizationResponse:
        """What was loaded and where it runs."""

    @property
    def usable(self) -> bool:
        """Whether it lives and is done with its last recording."""

    def diarize(
        self, config: DiarizationConfig, audio: AsyncIterator[bytes]
    ) -> AsyncGenerator[DiarizeResponse, None]:
        """Progress, turns and completed for 16 kHz mono s16le audio. Raises Unavailable, StageFailed.

        If the iteration is left early, `settle` must be awaited before the next recording.
        """

    async def settle(self, grace_seconds: float) -> None:
        """Give up the recording that was left early, and wait until it is; a worker that does not obey is killed."""

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
    ) -> None:
        self._process = process
        self._stdin = stdin
        self._stdout = stdout
        self._description = description
        self._busy = False

    @classmethod
    async def start(cls, *command: str, environment: Mapping[str, str] | None = None) -> "WorkerProcess":
        """Run `command` and wait until it is ready. Raises Unavailable where it ends before that."""
        # In a session of its own, so that Ctrl-C in a terminal reaches the service alone: it drains, the worker works on.
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=environment,
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the worker was started without pipes")
        worker = cls(process, process.stdin, process.stdout, DescribeDiarizationResponse())
        try:
            _, payload = await worker._next_frame()
        except WorkerLost:
            raise Unavailable(
                "a diarization worker did not start; the service's operator finds the reason in its log"
            ) from None
        except BaseException:
            await worker.close()
            raise
        worker._description = DescribeDiarizationResponse.FromString(payload)
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def description(self) -> DescribeDiarizationResponse:
        return self._description

    @property
    def usable(self) -> bool:
        return self._process.returncode is None and not self._busy

    async def diarize(
        self, config: DiarizationConfig, audio: AsyncIterator[bytes]
    ) -> AsyncGenerator[DiarizeResponse, None]:
        self._busy = True
        await self._send(Kind.REQUEST, DiarizeRequest(config=config))
        async for chunk in audio:
            await self._send(Kind.REQUEST, DiarizeRequest(audio=chunk))
        await self._send(Kind.REQUEST, DiarizeRequest(end_of_audio=EndOfAudio()))
        while self._busy:
            yield await self._response()

    async def settle(self, grace_seconds: float) -> None:
        if self._busy and self._process.returncode is None:
            try:
                async with asyncio.timeout(grace_seconds):
                    await self._give_up()
            except (TimeoutError, WorkerLost):
                _log.warning("worker killed: it did not give up a recording", pid=self.pid)
        if not self.usable:
            await self.close()

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        # Reads the pipes to their end; wait() alone would hang on what is left in them.
        await self._process.communicate()

    async def _give_up(self) -> None:
        await self._send(Kind.CANCEL)
        while self._busy:
            try:
                await self._response()
            except StageFailed:
                return

    async def _response(self) -> DiarizeResponse:
        """The next answer to the current recording; not busy any more after the last."""
        kind, payload = await self._next_frame()
        if kind == Kind.FAILED:
            self._busy = False
            raise StageFailed(Status.FromString(payload))
        response = DiarizeResponse.FromString(payload)
        self._busy = not response.HasField("completed")
        return response

    async def _next_frame(self) -> tuple[Kind, bytes]:
        try:
            return await frames.read(self._stdout)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._lost() from None

    async def _send(self, kind: Kind, message: DiarizeRequest | None = None) -> None:
        try:
            self._stdin.write(frames.encode(kind, message))
            await self._stdin.drain()
        except ConnectionError:
            raise await self._lost() from None

    async def _lost(self) -> WorkerLost:
        exit_code = await self._process.wait()
        _log.error("worker ended by itself", pid=self.pid, exit_code=exit_code)
        return WorkerLost(
            "the process that computed this recording ended; send it again, or to another replica"
        )


def worker_command(config: WorkerConfig) -> tuple[str, ...]:
    """The command that starts a worker with real models."""
    return sys.executable, "-P", "-m", "diarization_service.worker", config.to_json()


def worker_environment() -> dict[str, str]:
    """The environment of a worker with real models.

    torch's threads wait for each other by spinning, unless told otherwise. Where other processes want the same cores, that
    starves the very threads waited for: two workers on two cores were not done in 70 s with what takes 6.7 s so, and 3.8 s
    instead of 3.4 s where a worker is alone.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
