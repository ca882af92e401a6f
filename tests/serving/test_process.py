"""Real processes and real signals."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import grpc
import pytest
from google.rpc import code_pb2

from speech.asr.v1 import asr_pb2_grpc
from support.fake_service import answers, audio, config, end, status_of, stream_of

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, os, sys, time
from serving.config import from_environment, ServerConfig
from serving.errors import ModelUnavailable
from serving.server import run
from support.fake_service import FakeService, read_all

async def load():
    print("noise from Python")
    os.write(1, b"noise from a native library\\n")
    match os.environ["LOAD"]:
        case "thread":
            await asyncio.to_thread(time.sleep, 60)
        case "missing":
            raise ModelUnavailable("whisper is missing; run: duoscribe models pull whisper")
        case "bug":
            raise KeyError("bug")

config = from_environment(ServerConfig, "TEST_")
sys.exit(run(FakeService(config, start=load), config))
"""


class Process:
    def __init__(self, process):
        self._process = process
        self.address = ""

    @classmethod
    async def start(cls, *, load="", **environment):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM),
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}:{ROOT / 'tests'}",
                "LOAD": load,
                "TEST_LOG_FORMAT": "json",
                **environment,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return cls(process)

    async def wait_bound(self):
        line = await asyncio.wait_for(self._process.stdout.readline(), 20)
        self.address = json.loads(line)["address"]

    async def wait_logged(self, event):
        """The log line of that event, in JSON."""
        async with asyncio.timeout(20):
            while line := await self._process.stderr.readline():
                if line.startswith(b"{") and (entry := json.loads(line))["event"] == event:
                    return entry
        raise AssertionError(f"ended without logging {event!r}")

    def signal(self, number=signal.SIGTERM):
        self._process.send_signal(number)

    async def ended(self, within):
        """Exit code, and what else came on standard output."""
        stdout, _ = await asyncio.wait_for(self._process.communicate(), within)
        return self._process.returncode, stdout

    async def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@pytest.fixture
async def start():
    started = []

    async def start_one(**environment):
        process = await Process.start(**environment)
        started.append(process)
        return process

    yield start_one
    for process in started:
        await process.kill()


class Upload:
    """A recording that ends when it is told to."""

    def __init__(self, address):
        self._channel = grpc.aio.insecure_channel(address)
        self._end = asyncio.Event()
        self._call = asr_pb2_grpc.SpeechRecognitionStub(self._channel).Recognize(self._messages())
        self.entered = asyncio.create_task(self._call.read())

    async def _messages(self):
        yield config()
        yield audio(b"abc")
        await self._end.wait()
        yield end()

    async def finish(self):
        self._end.set()
        size = (await self._call.read()).completed.words
        await self._channel.close()
        return size


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_prints_one_line_serves_and_ends_with_0_at_a_signal(start, number):
    process = await start()
    await process.wait_bound()
    assert (await process.wait_logged("serving"))["address"] == process.address
    async with grpc.aio.insecure_channel(process.address) as channel:
        call = asr_pb2_grpc.SpeechRecognitionStub(channel).Recognize(
            stream_of([config(), audio(b"abc"), end()])
        )
        assert (await answers(call))[1].completed.words == 3
    process.signal(number)

    assert await process.ended(within=10) == (0, b"")


async def test_a_recording_in_flight_finishes_and_a_new_one_is_refused(start):
    process = await start()
    await process.wait_bound()
    await process.wait_logged("serving")
    upload = Upload(process.address)
    await upload.entered
    process.signal()
    assert (await process.wait_logged("draining"))["streams"] == 1
    async with grpc.aio.insecure_channel(process.address) as channel:
        stub = asr_pb2_grpc.SpeechRecognitionStub(channel)
        status = await status_of(answers(stub.Recognize(stream_of([config(), end()]))))
    assert status.code == code_pb2.UNAVAILABLE
    assert await upload.finish() == 3

    assert (await process.ended(within=10))[0] == 0


async def test_a_second_signal_ends_at_once_with_1(start):
    process = await start(TEST_DRAIN_SECONDS="60")
    await process.wait_bound()
    await process.wait_logged("serving")
    upload = Upload(process.address)
    await upload.entered
    process.signal()
    await process.wait_logged("draining")
    process.signal()

    assert (await process.ended(within=3))[0] == 1


async def test_a_signal_while_loading_ends_soon_with_0_even_if_a_thread_is_busy(start):
    process = await start(load="thread")
    await process.wait_bound()
    process.signal()
    began = time.monotonic()

    assert await process.ended(within=20) == (0, b"")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("load", "key", "words"),
    [("missing", "reason", "duoscribe models pull whisper"), ("bug", "exception", "KeyError: 'bug'")],
)
async def test_a_failed_load_says_why_and_ends_with_1(start, load, key, words):
    process = await start(load=load)
    await process.wait_bound()
    assert words in (await process.wait_logged("the service could not start"))[key]

    assert await process.ended(within=10) == (1, b"")


async def test_an_address_that_cannot_be_bound_says_why_and_ends_with_1(start, tmp_path):
    process = await start(TEST_ADDRESS=f"unix:{tmp_path}/missing/door.sock")
    assert "folder does not exist" in (await process.wait_logged("cannot listen"))["reason"]

    assert await process.ended(within=10) == (1, b"")


async def test_certificates_that_cannot_be_used_are_named_and_end_it_with_1(start, tmp_path):
    process = await start(TEST_TLS_CERTIFICATE=f"{tmp_path}/tls.crt", TEST_TLS_KEY=f"{tmp_path}/tls.key")
    line = await process.wait_logged("cannot speak TLS")
    assert line["reason"] == f"{tmp_path}/tls.crt cannot be read: No such file or directory"

    assert await process.ended(within=10) == (1, b"")


async def test_a_socket_file_is_gone_at_the_end(start, tmp_path):
    process = await start(TEST_ADDRESS=f"unix:{tmp_path}/door.sock")
    await process.wait_bound()
    assert process.address == f"unix:{tmp_path}/door.sock"
    assert list(tmp_path.iterdir())
    process.signal()

    assert (await process.ended(within=10))[0] == 0
    assert not list(tmp_path.iterdir())
