"""What networks do between gateways and backends."""

import pytest

from benchmarks.faults.faults import slowed, swallowed
from benchmarks.faults.replicas import Deployment
from benchmarks.faults.verdicts import Reference
from support.endings import Caller, both_busy, busy, calls, check_whole, in_the_middle

pytestmark = pytest.mark.asyncio(loop_scope="session")

BACKENDS = ["asr", "diarization"]


@pytest.mark.parametrize("kind", BACKENDS)
async def test_a_network_that_is_cut_is_gone_round(
    replicated: Deployment, undisturbed: Reference, kind: str
) -> None:
    caller = Caller(replicated)
    async with in_the_middle(caller) as transcribing:
        (await busy(getattr(replicated, kind))).proxy.cut()
        caller.goes_on.set()
        transcript = await transcribing
    check_whole(transcript, undisturbed)
    assert max(calls(transcript)) >= 2


@pytest.mark.parametrize("kind", BACKENDS)
async def test_a_network_that_swallows_everything_is_gone_round(
    replicated: Deployment, undisturbed: Reference, kind: str
) -> None:
    caller = Caller(replicated)
    async with in_the_middle(caller) as transcribing, swallowed(await busy(getattr(replicated, kind))):
        caller.goes_on.set()
        transcript = await transcribing
    check_whole(transcript, undisturbed)
    assert max(calls(transcript)) >= 2


async def test_a_slow_network_is_waited_for(replicated: Deployment, undisturbed: Reference) -> None:
    caller = Caller(replicated)
    async with in_the_middle(caller) as transcribing:
        slow, other = await both_busy(replicated)
        async with slowed(slow), slowed(other):
            caller.goes_on.set()
            transcript = await transcribing
    check_whole(transcript, undisturbed)
    assert calls(transcript) == [1, 1]
