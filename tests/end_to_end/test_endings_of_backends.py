"""Backends that die or hang under a recording: it is whole all the same, or its caller is told what is missing."""

import asyncio

import pytest
from grpc import StatusCode

from benchmarks.faults.faults import hung
from benchmarks.faults.replicas import Deployment
from benchmarks.faults.verdicts import Reference
from gateway.client import TranscriptionError
from speech.gateway.v1 import gateway_pb2
from support.endings import Caller, both_busy, busy, calls, check_whole, in_the_middle

pytestmark = pytest.mark.asyncio(loop_scope="session")

BACKENDS = ["asr", "diarization"]


@pytest.mark.parametrize("kind", BACKENDS)
async def test_a_backend_that_is_killed_is_replaced(
    replicated: Deployment, undisturbed: Reference, kind: str
) -> None:
    caller = Caller(replicated)
    async with in_the_middle(caller) as transcribing:
        replica = await busy(getattr(replicated, kind))
        await replica.kill()
        caller.goes_on.set()
        transcript = await transcribing
    await replica.start()
    check_whole(transcript, undisturbed)
    assert max(calls(transcript)) >= 2


async def test_both_backends_may_die_at_once(replicated: Deployment, undisturbed: Reference) -> None:
    caller = Caller(replicated)
    async with in_the_middle(caller) as transcribing:
        dying = await both_busy(replicated)
        await asyncio.gather(*(replica.kill() for replica in dying))
        caller.goes_on.set()
        transcript = await transcribing
    await asyncio.gather(*(replica.start() for replica in dying))
    check_whole(transcript, undisturbed)
    assert min(calls(transcript)) >= 2


async def test_a_worker_process_that_is_killed_is_replaced(
    replicated: Deployment, undisturbed: Reference
) -> None:
    caller = Caller(replicated)
    async with in_the_middle(caller) as transcribing:
        (await busy(replicated.diarization)).kill_children(".worker")
        caller.goes_on.set()
        check_whole(await transcribing, undisturbed)


@pytest.mark.parametrize("kind", BACKENDS)
async def test_a_backend_that_hangs_is_given_up(
    replicated: Deployment, undisturbed: Reference, kind: str
) -> None:
    caller = Caller(replicated)
    async with in_the_middle(caller) as transcribing, hung(await busy(getattr(replicated, kind))):
        caller.goes_on.set()
        transcript = await transcribing
    check_whole(transcript, undisturbed)
    assert max(calls(transcript)) >= 2


async def test_without_any_replica_the_call_fails_with_what_is_missing(replicated: Deployment) -> None:
    caller = Caller(replicated)
    async with in_the_middle(caller) as transcribing:
        await asyncio.gather(*(replica.kill() for replica in replicated.asr))
        caller.goes_on.set()
        with pytest.raises(TranscriptionError, match="speech recognition") as caught:
            await transcribing
    await asyncio.gather(*(replica.start() for replica in replicated.asr))
    assert caught.value.code == StatusCode.UNAVAILABLE


async def test_who_accepts_parts_gets_words_without_speakers_and_is_told(
    replicated: Deployment, undisturbed: Reference
) -> None:
    caller = Caller(replicated, accept_partial=True)
    async with in_the_middle(caller) as transcribing:
        await asyncio.gather(*(replica.kill() for replica in replicated.diarization))
        caller.goes_on.set()
        transcript = await transcribing
    await asyncio.gather(*(replica.start() for replica in replicated.diarization))
    assert transcript.completed is not None
    assert transcript.completed.partial
    assert transcript.text.split() == [word.text for word in undisturbed.words]
    assert transcript.stages[gateway_pb2.STAGE_DIARIZATION].status.code == StatusCode.UNAVAILABLE.value[0]
