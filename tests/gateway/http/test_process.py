"""HTTP as a part of the gateway's process: how it starts, drains, and says what it lacks."""

import asyncio
import json
import subprocess
import sys

import httpx2
import openai
import pytest

from support.gateway.fakes import diarization, recognition
from support.gateway.http import MODEL, answering, http_address, official, recording
from support.processes import ServiceProcess
from support.waiting import until

# What a gateway does that was installed without its extra.
WITHOUT = """
import sys
sys.modules["h11"] = None
sys.argv[0] = "gateway"
from gateway.__main__ import main
main()
"""


def gateway(tmp_path, *flags):
    return ServiceProcess("gateway", ("--address=127.0.0.1:0", *flags), tmp_path / "gateway.log")


def test_the_process_says_where_it_answers_and_ends_well(tmp_path):
    with gateway(tmp_path, "--http-address=127.0.0.1:0") as process:
        process.wait_serving()
        url = f"http://{process.announced['http_address']}/health"
        assert httpx2.get(url).json() == {"status": "SERVING"}
    assert process.process.returncode == 0
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert lines[-1]["event"] == "stopped"
    assert {line["level"] for line in lines} == {"info"}


def test_without_the_flag_there_is_no_http(tmp_path):
    with gateway(tmp_path) as process:
        assert set(process.announced) == {"address"}


def test_an_address_that_is_taken_ends_the_start(tmp_path):
    with gateway(tmp_path, "--http-address=127.0.0.1:0") as first:
        taken = first.announced["http_address"]
        command = [sys.executable, "-m", "gateway", "--address=127.0.0.1:0", f"--http-address={taken}"]
        second = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert f"cannot serve HTTP at {taken}: Address already in use" in second.stderr


def test_a_gateway_without_the_packages_says_so_where_they_are_asked_for():
    command = [sys.executable, "-c", WITHOUT, "--http-address=127.0.0.1:0"]
    asked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert asked.returncode == 2
    assert "--http-address needs the package h11: pip install 'duoscribe[http]'" in asked.stderr


async def test_a_recording_in_flight_is_answered_while_the_gateway_drains(tmp_path):
    asr = recognition((0.5, 1.0, "hello"))
    asr.released.clear()
    async with answering(tmp_path, asr, diarization(), drain_seconds=10.0) as door, official(door) as client:
        call = asyncio.create_task(client.audio.transcriptions.create(file=recording(), model=MODEL))
        await until(lambda: asr.calls)
        stopping = asyncio.create_task(door.server.stop())
        async with httpx2.AsyncClient() as prober:
            health = None
            while health is None or health.status_code == 200:
                health = await prober.get(f"http://{http_address(door)}/health")
        assert (health.status_code, health.json()) == (503, {"status": "NOT_SERVING"})
        with pytest.raises(openai.InternalServerError) as caught:
            await client.audio.transcriptions.create(file=recording(), model=MODEL)
        assert (caught.value.status_code, caught.value.code) == (503, "unavailable")
        asr.released.set()
        assert (await call).text == "hello"
        await stopping
