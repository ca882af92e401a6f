"""Child processes: real ones, small enough to start quickly."""

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import psutil
import pytest

from gateway.supervisor import Launch, ServiceDied, Services, running_services

ROOT = Path(__file__).resolve().parents[2]

SERVICE = """
import asyncio, json, os, signal, sys
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

async def main(address):
    server = grpc.aio.server()
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    server.add_insecure_port(address)
    await server.start()
    print(json.dumps({"address": address}), flush=True)
    print(f"loading {sys.argv[1:]}", file=sys.stderr, flush=True)
    await asyncio.sleep(0.1)
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    if "--record" in sys.argv:
        with open(sys.argv[sys.argv.index("--record") + 1], "a") as file:
            print(address, file=file)

asyncio.run(main(sys.argv[sys.argv.index("--address") + 1]))
"""

BROKEN = """
import sys
print("no weights here", file=sys.stderr)
print("pull them first", file=sys.stderr)
sys.exit(3)
"""

# Its models do not load, so it goes down in order once its address is known.
CANNOT_LOAD = SERVICE.replace(
    "await asyncio.sleep(0.1)",
    """await asyncio.sleep(1.0)
    await servicer.enter_graceful_shutdown()
    await server.stop(0.2)
    print("pull them first", file=sys.stderr)
    sys.exit(3)""",
)

DEAF = SERVICE.replace(
    "add_signal_handler(signal.SIGTERM, stop.set)", "add_signal_handler(signal.SIGTERM, int)"
)

# Leaves a worker in the group, as a service with a worker process would.
WITH_WORKER = 'import subprocess; subprocess.Popen(["sleep", "60"])\n' + SERVICE

PARENT = """
import asyncio, sys
from pathlib import Path
from gateway.supervisor import Launch, running_services

async def main(directory):
    launch = Launch("fake", "with_worker", ("--address", f"unix:{directory}/fake.sock"))
    async with running_services([launch], directory=Path(directory), sink=lambda _: None, grace_seconds=5) as services:
        print(services.processes[0].pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the scripts above where the children import from."""
    folder = tmp_path / "modules"
    folder.mkdir()
    scripts = {
        "serves": SERVICE,
        "broken": BROKEN,
        "cannot_load": CANNOT_LOAD,
        "deaf": DEAF,
        "with_worker": WITH_WORKER,
        "parent": PARENT,
    }
    for name, script in scripts.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(script))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT), str(ROOT / "protos")]))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    private = tmp_path / "private"
    private.mkdir()
    return private


@asynccontextmanager
async def started(
    directory: Path, *launches: Launch, written: list[bytes] | None = None
) -> AsyncIterator[Services]:
    sink = (written if written is not None else []).append
    async with running_services(launches, directory=directory, sink=sink, grace_seconds=2) as services:
        yield services


def launch(directory: Path, name: str, module: str, *arguments: str) -> Launch:
    return Launch(name, module, ("--address", f"unix:{directory}/{name}.sock", *arguments))


def alive(group: int) -> bool:
    """Whether a process of the group still runs; zombies do not."""
    return any(in_group(process, group) for process in psutil.process_iter())


def in_group(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


async def gone(group: int) -> None:
    async with asyncio.timeout(10):
        while alive(group):  # noqa: ASYNC110 - nothing tells when somebody else's child ends
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("modules")
async def test_services_serve_and_end_with_the_context(directory: Path) -> None:
    written: list[bytes] = []
    first, second = launch(directory, "first", "serves"), launch(directory, "second", "serves")
    async with started(directory, first, second, written=written) as services:
        assert services.addresses == {name: f"unix:{directory}/{name}.sock" for name in ("first", "second")}
        async with grpc.aio.insecure_channel(services.addresses["second"]) as channel:
            await asyncio.wait_for(channel.channel_ready(), 5)
        pids = [process.pid for process in services.processes]
    for pid in pids:
        await gone(pid)
    assert b"loading" in b"".join(written)


@pytest.mark.usefixtures("modules")
async def test_the_last_service_is_stopped_first(directory: Path) -> None:
    record = ("--record", str(directory / "order"))
    front, back = launch(directory, "front", "serves", *record), launch(directory, "back", "serves", *record)
    async with started(directory, back, front):
        pass
    order = (directory / "order").read_text().split()
    assert [Path(address).stem for address in order] == ["front", "back"]


@pytest.mark.usefixtures("modules")
async def test_a_service_that_cannot_start_is_named_with_its_last_lines(directory: Path) -> None:
    sound, broken = launch(directory, "asr", "serves"), launch(directory, "diarization", "broken")
    with pytest.raises(ServiceDied) as failure:
        async with started(directory, sound, broken):
            pass
    message = failure.value.message
    assert message.startswith("the diarization service ended with exit code 3")
    assert message.endswith("no weights here\n  pull them first")


@pytest.mark.usefixtures("modules")
async def test_a_service_that_cannot_load_is_named_with_its_last_lines(directory: Path) -> None:
    with pytest.raises(ServiceDied) as failure:
        async with started(directory, launch(directory, "asr", "cannot_load")):
            pass
    assert failure.value.message.startswith("the asr service ended with exit code 3")
    assert failure.value.message.endswith("pull them first")


@pytest.mark.usefixtures("modules")
async def test_a_death_ends_the_work_that_needs_the_service(directory: Path) -> None:
    async with started(directory, launch(directory, "asr", "with_worker")) as services:
        pid = services.processes[0].pid
        working = asyncio.create_task(services.while_alive(asyncio.sleep(60)))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ServiceDied, match="the asr service ended with signal SIGKILL"):
            await asyncio.wait_for(working, 5)
    await gone(pid)


@pytest.mark.usefixtures("modules")
async def test_work_beside_living_services_gives_its_result(directory: Path) -> None:
    async with started(directory, launch(directory, "asr", "serves")) as services:
        assert await services.while_alive(asyncio.sleep(0, "done")) == "done"


@pytest.mark.usefixtures("modules")
async def test_a_service_that_ignores_sigterm_is_killed(directory: Path) -> None:
    async with running_services(
        [launch(directory, "deaf", "deaf")], directory=directory, sink=lambda _: None, grace_seconds=0.2
    ) as services:
        pid = services.processes[0].pid
    await gone(pid)


@pytest.mark.usefixtures("modules")
async def test_children_and_their_folder_do_not_outlive_a_killed_parent(directory: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "parent", str(directory), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    assert alive(child)
    parent.kill()
    await parent.wait()
    await gone(child)
    assert not directory.exists()  # noqa: ASYNC240
