"""The three services in processes of their own, with real models or deterministic engines; started once for all tests here."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
import pytest_asyncio

from benchmarks.faults import replicas as faults
from benchmarks.faults.rounds import until_idle
from benchmarks.faults.verdicts import Reference
from gateway.client import TranscriptionClient
from support import endings
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
            "--http-address",
            "127.0.0.1:0",
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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def replicas(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[faults.Deployment]:
    """Two of each service, with deterministic engines and proxies between them; gateway 1 soon misses callers who vanish."""
    flags = {"gateway": ("--silence-seconds=3", "--attempts=4"), "gateway-1": ("--keepalive-seconds=1.5",)}
    async with faults.deployed(tmp_path_factory.mktemp("replicas"), "deterministic", flags) as deployment:
        yield deployment


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def undisturbed(replicas: faults.Deployment) -> Reference:
    """What becomes of the recording where nothing goes wrong."""
    return Reference.of(await endings.Caller(replicas).whole())


@pytest_asyncio.fixture(loop_scope="session")
async def replicated(replicas: faults.Deployment) -> AsyncIterator[faults.Deployment]:
    """Healed after the test; fails where anybody still works on a recording then."""
    yield replicas
    replicas.heal()
    async with asyncio.timeout(60):
        await until_idle(replicas)
        for gateway in replicas.gateways:
            await endings.until_reached(gateway)
