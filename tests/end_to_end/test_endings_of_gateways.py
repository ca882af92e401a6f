"""Gateways that end under their callers."""

import asyncio
import os
import signal

import pytest
from grpc import StatusCode

from benchmarks.faults.replicas import Deployment
from benchmarks.faults.verdicts import Reference
from gateway.client import TranscriptionError
from support.endings import Caller, check_whole, in_the_middle

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def refused(replicated: Deployment) -> TranscriptionError:
    """By a gateway that was told to end, once it knows."""
    async with asyncio.timeout(60):
        while True:
            try:
                await Caller(replicated, gateway=1).whole()
            except TranscriptionError as refusal:
                return refusal


async def test_a_gateway_that_drains_finishes_what_it_began(
    replicated: Deployment, undisturbed: Reference
) -> None:
    caller, gateway = Caller(replicated, gateway=1), replicated.gateways[1]
    async with in_the_middle(caller) as transcribing:
        os.kill(gateway.pid, signal.SIGTERM)
        refusal = await refused(replicated)
        check_whole(await Caller(replicated).whole(), undisturbed)
        caller.goes_on.set()
        check_whole(await transcribing, undisturbed)
    await gateway.stop()
    await gateway.start()
    assert refusal.code == StatusCode.UNAVAILABLE


async def test_a_gateway_that_is_killed_takes_its_calls_along_and_leaves_nothing(
    replicated: Deployment, undisturbed: Reference
) -> None:
    async with in_the_middle(Caller(replicated, gateway=1)) as transcribing:
        await replicated.gateways[1].kill()
        with pytest.raises(TranscriptionError) as caught:
            await transcribing
    assert caught.value.code == StatusCode.UNAVAILABLE
    check_whole(await Caller(replicated).whole(), undisturbed)
    assert not os.listdir(replicated.spool)  # noqa: PTH208
    await replicated.gateways[1].start()
