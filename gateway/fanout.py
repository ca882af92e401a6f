"""One stage of a recording: calls a backend, and replays the recording to another replica when the call fails."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from google.rpc import code_pb2, status_pb2
from grpc import aio

from gateway.dialects import Dialect, Garbled
from gateway.inbox import Inbox
from gateway.merge import TurnsPatch
from gateway.outcomes import public_status
from gateway.replicas import Replica, Replicas, StubT
from gateway.reports import Completed, Ended, Fact, Models, Progress, Result, Retrying, Stage, Words
from gateway.retries import RetryPolicy, is_passing
from gateway.silence import Silence
from gateway.spool import Spool
from serving import logs, tracing
from serving.calls import responses
from serving.status import from_rpc_error, most_telling
from serving.tracing.calls import calling, propagated

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

_SILENT = status_pb2.Status(code=code_pb2.UNAVAILABLE, message="the backend owed an answer and sent nothing")
_NOWHERE = status_pb2.Status(code=code_pb2.UNAVAILABLE, message="no replica of the backend is known")
_INCOMPLETE = status_pb2.Status(code=code_pb2.INTERNAL, message="the answer ended before it was complete")

# Backends may see the caller's deadline pass a moment before the gateway does.
_DEADLINE_SLACK = 0.5

# What a caller sends within this time goes on in one message. It comes that much later at most, where words come about a
# second behind their pause.
_GATHER_SECONDS = 0.2

_log = logs.get_logger(__name__)


class CallEnded(Protocol):
    """Hears of every call, with its code, and whether another is going to be made."""

    def __call__(self, stage: Stage, code: int, *, again: bool) -> None: ...


class Method(Protocol[RequestT, ResponseT]):
    """A stub's method for the stage."""

    def __call__(
        self, *, timeout: float | None, metadata: Sequence[tuple[str, str]]
    ) -> "aio.StreamStreamCall[RequestT, ResponseT]": ...


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """What the calls made for a recording have in common; `deadline` is the caller's, by the event loop's clock."""

    request_id: str
    deadline: float | None
    silence_seconds: float
    retries: RetryPolicy
    call_ended: CallEnded

    def timeout(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.deadline - asyncio.get_running_loop().time())

    def judged(self, status: status_pb2.Status) -> status_pb2.Status:
        """What a call's status means: a deadline that is not the caller's is some server's own, and another may do better."""
        remaining = self.timeout()
        if status.code != code_pb2.DEADLINE_EXCEEDED or (
            remaining is not None and remaining < _DEADLINE_SLACK
        ):
            return status
        return status_pb2.Status(code=code_pb2.UNAVAILABLE, message=status.message, details=status.details)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """For proxies on the way; the backend takes the id from the config. Headers cannot hold more than ASCII."""
        return (("x-request-id", self.request_id),) if self.request_id.isascii() else ()


class CallFailed(Exception):  # noqa: N818 - named after what happened
    """A call to a backend ended without its whole answer."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


class StageRun(Generic[StubT, RequestT, ResponseT]):
    """The calls made for one stage of one recording; what they give goes to the inbox."""

    def __init__(
        self,
        dialect: Dialect[RequestT, ResponseT],
        replicas: Replicas[StubT],
        method: Callable[[StubT], Method[RequestT, ResponseT]],
        inbox: Inbox,
        options: CallOptions,
    ) -> None:
        self._dialect = dialect
        self._replicas = replicas
        self._method = method
        self._inbox = inbox
        self._options = options
        self._failed: Counter[Replica[StubT]] = Counter()
        # How far into the recording any call has come, in nanoseconds.
        self._reached = 0

    @property
    def stage(self) -> Stage:
        return self._dialect.stage

    async def run(self, spool: Spool) -> Ended:
        """Until the stage is complete or has failed for good. Raises what the spool's readers raise.

        Calls that came further than all before them do not count as attempts: a long recording outlives many replicas.
        """
        stage, attempt, in_vain = self._dialect.stage, 1, 0
        while True:
            reached = self._reached
            try:
                with calling(self._dialect.method, attempt=attempt):
                    completed = await self._call_next(spool)
                self._options.call_ended(stage, code_pb2.OK, again=False)
                return Ended(stage, attempt, completed)
            except CallFailed as failure:
                status = failure.status
            in_vain = 1 if self._reached > reached else in_vain + 1
            wait = self._options.retries.wait_after(in_vain, status, self._replicas.full_for())
            self._options.call_ended(stage, status.code, again=wait is not None)
            _log.warning(
                "a call to a backend failed",
                stage=self._dialect.name,
                attempt=attempt,
                code=code_pb2.Code.Name(status.code),
                reason=status.message,
                again_in_seconds=wait,
            )
            shown = public_status(self._dialect.name, status)
            if wait is None:
                return Ended(stage, attempt, status=shown)
            await self._inbox.put(Retrying(stage, shown, attempt))
            await asyncio.sleep(wait)
            self._dialect.restart()
            attempt += 1

    async def _call_next(self, spool: Spool) -> Completed:
        """One call of the replica whose turn it is, which is remembered if it fails. Raises CallFailed."""
        replica = self._replicas.pick(self._failed)
        if replica is None:
            raise CallFailed(_NOWHERE)
        tracing.describe(replica=replica.target)
        try:
            with replica.call() as stub:
                completed = await self._call(self._method(stub), spool)
        except CallFailed as failure:
            if is_passing(failure.status):
                self._failed[replica] += 1
                replica.failed(failure.status, asyncio.get_running_loop().time())
            raise
        replica.succeeded()
        return completed

    async def _call(self, method: Method[RequestT, ResponseT], spool: Spool) -> Completed:
        """One call, from the start of the recording to the end of the answer. Raises CallFailed."""
        metadata = (*self._options.metadata(), *propagated())
        call = method(timeout=self._options.timeout(), metadata=metadata)
        try:
            async with asyncio.timeout(None) as clock, asyncio.TaskGroup() as tasks:
                silence = Silence(clock, self._options.silence_seconds)
                sending = tasks.create_task(self._send(call, spool, silence))
                completed = await self._receive(responses(call), silence)
                sending.cancel()
        except TimeoutError:
            raise CallFailed(_SILENT) from None
        except ExceptionGroup as group:
            _check_cancelled()
            raise most_telling(group) from None
        finally:
            call.cancel()
        if completed is None:
            raise CallFailed(_INCOMPLETE)
        return completed

    async def _send(
        self, call: "aio.StreamStreamCall[RequestT, ResponseT]", spool: Spool, silence: Silence
    ) -> None:
        try:
            silence.sending()
            await call.write(self._dialect.config())
            async for piece in spool.reader(_GATHER_SECONDS):
                silence.sending()
                await call.write(self._dialect.audio(piece))
            silence.sent_all()
            tracing.happened("audio sent")
            await call.write(self._dialect.end())
            await call.done_writing()
        except (aio.AioRpcError, asyncio.InvalidStateError):
            return  # The call has ended; whoever reads the answers learns why.

    async def _receive(self, answers: AsyncIterable[ResponseT], silence: Silence) -> Completed | None:
        completed = None
        try:
            async for response in answers:
                silence.heard()
                for result in self._dialect.results(response):
                    self._reached = max(self._reached, _reach(result))
                    if isinstance(result, Completed):
                        completed = result
                    elif isinstance(result, Progress):
                        self._inbox.note(result)
                    else:
                        await self._take(result)
                silence.listening()
        except aio.AioRpcError as error:
            if completed is None:
                raise CallFailed(self._options.judged(from_rpc_error(error))) from None
        except Garbled as error:
            raise CallFailed(status_pb2.Status(code=code_pb2.INTERNAL, message=str(error))) from None
        return completed

    async def _take(self, fact: Fact) -> None:
        if isinstance(fact, Models):
            tracing.describe(models=tracing.model_names(fact.models))
        await self._inbox.put(fact)


def _reach(result: Result) -> int:
    match result:
        case Words(words):
            return max(word.end for word in words)
        case TurnsPatch():
            return result.horizon
        case Progress():
            return result.processed
        case _:
            return 0


def _check_cancelled() -> None:
    """Raises CancelledError where this task was cancelled while a group of tasks ended by an error: the group forgets it.

    Up to Python 3.12. A stage would go on and call other replicas for a caller who has gone.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
