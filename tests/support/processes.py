"""Services as they run in production: processes of their own, on real sockets."""

import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

# Loading torch and the models on a busy machine.
START_SECONDS = 180


@dataclass
class ServiceProcess:
    """One service; `module` is "asr_service", "diarization_service" or "gateway". Its log goes to `log`."""

    module: str
    flags: tuple[str, ...]
    log: Path

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, *self.flags],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise RuntimeError(f"{self.module} did not start:\n{self.log.read_text()[-4000:]}")
        self.announced: dict[str, str] = json.loads(line)
        self.address = self.announced["address"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def wait_serving(self, seconds: float = START_SECONDS) -> Self:
        deadline = time.monotonic() + seconds
        while not self.is_serving():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.module} does not serve:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.1)
        return self

    def is_serving(self) -> bool:
        with grpc.insecure_channel(self.address) as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
            except grpc.RpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def kill(self) -> None:
        """As the kernel does it when memory runs out: no warning, no farewell."""
        self.process.kill()
        self.process.wait()


def free_address() -> str:
    """An address on this machine that nothing listens on yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
