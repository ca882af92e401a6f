"""The images' HEALTHCHECK, asked of a real server."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from serving.server import running
from support.certificates import Authority
from support.fake_service import FakeService, limits
from support.processes import free_address

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "healthcheck.py"


async def health(address):
    process = await asyncio.create_subprocess_exec(sys.executable, SCRIPT, address, stdout=PIPE, stderr=PIPE)
    out, error = await process.communicate()
    return process.returncode, out.decode() + error.decode()


async def test_a_service_is_healthy_once_its_models_are_loaded():
    gate = asyncio.Event()
    service = FakeService(limits(), start=gate.wait)
    async with running(service, service.config) as server:
        assert await health(server.address) == (1, "NOT_SERVING\n")
        gate.set()
        await server.wait_serving()
        assert await health(server.address) == (0, "SERVING\n")


async def test_a_service_that_speaks_tls_is_asked_at_its_address_for_health(tmp_path):
    Authority().identity("server").write(tmp_path)
    files = {"tls_certificate": tmp_path / "tls.crt", "tls_key": tmp_path / "tls.key"}
    service = FakeService(limits(health_address="127.0.0.1:0", **files))
    async with running(service, service.config) as server:
        await server.wait_serving()
        assert await health(server.addresses.health_address) == (0, "SERVING\n")
        code, said = await health(server.address)
    assert (code, said.startswith("UNAVAILABLE: ")) == (1, True)


async def test_where_nobody_listens_nobody_is_healthy():
    code, said = await health(free_address())
    assert code == 1
    assert said.startswith("UNAVAILABLE: ")
