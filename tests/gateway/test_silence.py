"""What counts as a backend that owes an answer, and a stage that is cancelled: against a real server, with the inbox in the
test's hands.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
from google.rpc import code_pb2

from gateway.dialects import RecognitionDialect
from gateway.fanout import CallOptions, StageRun
from gateway.inbox import Inbox
from gateway.replicas import Replica, Replicas
from gateway.reports import Ended, Words
from gateway.retries import RetryPolicy
from gateway.spool import Spool
from serving.server import running
from speech.asr.v1 import asr_pb2_grpc
from support.gateway.fakes import FakeRecognition, failing, hanging, recognition

SECOND = bytes(32_000)
SILENCE_SECONDS = 0.3
UTTERANCES = [(second, second + 0.9, f"word-{second}") for second in range(10)]


@dataclass(frozen=True)
class Stage:
    """A stage that runs; the last report in its inbox is `Ended`."""

    spool: Spool
    inbox: Inbox
    outcome: asyncio.Task[Ended]

    async def words(self) -> list[str]:
        """Those delivered from here on, to the stage's end."""
        found: list[str] = []
        async with asyncio.timeout(10):
            while not isinstance(report := await self.inbox.get(), Ended):
                if isinstance(report, Words):
                    found += [word.text for word in report.words]
        return found


@asynccontextmanager
async def stage(asr: FakeRecognition, spool: Spool | None = None) -> AsyncIterator[Stage]:
    options = CallOptions(
        request_id="call-7",
        deadline=None,
        silence_seconds=SILENCE_SECONDS,
        retries=RetryPolicy(attempts=2, backoff=0.01, max_backoff=10.0),
        call_ended=lambda stage, code, again: None,
    )
    async with running(asr, asr.config) as server, grpc.aio.insecure_channel(server.address) as channel:
        await server.wait_serving()
        spool, inbox = spool or Spool(1_000_000), Inbox(1)
        stub = asr_pb2_grpc.SpeechRecognitionStub(channel)
        replicas = Replicas(lambda target: Replica(channel, stub, target))
        replicas.update([server.address])
        dialect = RecognitionDialect("call-7", "")
        run = StageRun(dialect, replicas, lambda stub: stub.Recognize, inbox, options)

        async def follow() -> Ended:
            ended = await run.run(spool)
            await inbox.put(ended)
            return ended

        outcome = asyncio.create_task(follow())
        yield Stage(spool, inbox, outcome)
        spool.close()
        outcome.cancel()
        await asyncio.gather(outcome, return_exceptions=True)


async def test_results_that_wait_for_a_slow_caller_are_no_silence_and_are_not_lost() -> None:
    async with stage(recognition(*UTTERANCES)) as called:
        for _ in UTTERANCES:
            await called.spool.write(SECOND)
            await asyncio.sleep(SILENCE_SECONDS / 5)
        await asyncio.sleep(SILENCE_SECONDS * 2)
        called.spool.finish()
        assert await called.words() == [text for _, _, text in UTTERANCES]
        assert (await called.outcome).attempts == 1


async def test_a_backend_that_hangs_while_its_last_answer_is_dealt_with_is_given_up() -> None:
    async with stage(recognition(*UTTERANCES[:2], faults=[hanging(after=2)] * 9)) as called:
        for _ in UTTERANCES[:2]:
            await called.spool.write(SECOND)
            await asyncio.sleep(SILENCE_SECONDS / 2)
        called.spool.finish()
        assert await called.words() == ["word-0"]
        ended = await called.outcome
    assert ended.attempts == 2
    assert ended.status.code == code_pb2.UNAVAILABLE


class ReluctantSpool(Spool):
    """Whose readers do not leave before they may."""

    def __init__(self) -> None:
        super().__init__(1_000_000)
        self.leaving, self.may_leave = asyncio.Event(), asyncio.Event()

    async def reader(self, gather_seconds: float = 0.0) -> AsyncIterator[bytes]:
        try:
            async for piece in super().reader(gather_seconds):
                yield piece
        finally:
            self.leaving.set()
            await self.may_leave.wait()


async def test_a_stage_that_is_cancelled_while_its_call_fails_calls_nobody_again() -> None:
    asr, spool = recognition(faults=[failing(grpc.StatusCode.UNAVAILABLE, after=0)] * 9), ReluctantSpool()
    async with stage(asr, spool) as called, asyncio.timeout(10):
        await spool.leaving.wait()
        called.outcome.cancel()
        await asyncio.sleep(0)
        spool.may_leave.set()
        with pytest.raises(asyncio.CancelledError):
            await called.outcome
    assert len(asr.calls) == 1
