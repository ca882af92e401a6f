"""The three services with real models, each in a process of its own; started once for all tests here."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest

from gateway.client import TranscriptionClient
from support.deployment import Deployment
from support.processes import ServiceProcess
from support.transcripts import Caller


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    spool = folder / "spool"
    spool.mkdir()
    with ExitStack() as processes:

        def start(module: str, *flags: str) -> ServiceProcess:
            process = ServiceProcess(module, ("--address", "127.0.0.1:0", *flags), folder / f"{module}.log")
            return processes.enter_context(process)

        asr, diarization = start("asr_service"), start("diarization_service")
        gateway = start(
            "gateway",
            "--asr",
            asr.address,
            "--diarization",
            diarization.address,
            "--spool-directory",
            str(spool),
            # Recordings here are short; without memory all of them reach the disk.
            "--spool-memory-bytes",
            "0",
        )
        for process in (asr, diarization, gateway):
            process.wait_serving()
        yield Deployment(asr, diarization, gateway, spool)


@pytest.fixture
async def caller(deployment: Deployment) -> AsyncIterator[Caller]:
    async with TranscriptionClient(deployment.gateway.address) as client:
        yield Caller(client)
