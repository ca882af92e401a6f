"""Callers who go away, in whatever way: nobody works on for them."""

import asyncio
import signal
import sys

import pytest
from grpc import StatusCode

from benchmarks.faults.replicas import Deployment
from benchmarks.faults.rounds import left_behind, until_idle
from gateway.client import TranscriptionError
from support.endings import Caller, in_the_middle

pytestmark = pytest.mark.asyncio(loop_scope="session")

# A caller who uploads without end, and says so once the first event has come.
CALLER = """
import asyncio, sys
from gateway.client import TranscriptionClient, configuration
from benchmarks.faults.uploads import PCM

async def chunks():
    while True:
        yield bytes(3_200)
        await asyncio.sleep(0.1)

async def main():
    async with TranscriptionClient(sys.argv[1]) as client:
        async for event in client.transcribe(chunks(), configuration(pcm=PCM)):
            print("heard", flush=True)

asyncio.run(main())
"""


async def test_nobody_works_on_for_a_caller_who_cancels(replicated: Deployment) -> None:
    async with in_the_middle(Caller(replicated)) as transcribing:
        assert await left_behind(replicated) >= 3
        transcribing.cancel()
        async with asyncio.timeout(30):
            await until_idle(replicated)


async def test_a_deadline_ends_the_work_everywhere(replicated: Deployment) -> None:
    with pytest.raises(TranscriptionError) as caught:
        await Caller(replicated, deadline=1.5).transcript()
    assert caught.value.code == StatusCode.DEADLINE_EXCEEDED


async def test_a_caller_who_is_stopped_is_noticed(replicated: Deployment) -> None:
    address = replicated.gateways[1].proxy.address
    caller = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CALLER, address), stdout=asyncio.subprocess.PIPE
    )
    assert caller.stdout is not None
    await caller.stdout.readline()
    caller.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(30):
        await until_idle(replicated)
    caller.kill()
    await caller.communicate()


async def test_a_caller_who_cannot_be_reached_any_more_is_noticed(replicated: Deployment) -> None:
    async with in_the_middle(Caller(replicated, gateway=1)):
        replicated.gateways[1].proxy.swallow()
        async with asyncio.timeout(30):
            await until_idle(replicated)
