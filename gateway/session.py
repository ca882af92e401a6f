"""One recording: decoded, sent to both stages at once, answered."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from gateway import ingest
from gateway.answer import Answer
from gateway.fanout import StageRun
from gateway.inbox import Inbox
from gateway.reports import Progress, Uploaded
from gateway.spool import Spool
from serving import tracing
from serving.audio import Recording
from serving.errors import DuoscribeError, StageFailed
from serving.status import members_of
from serving.times import duration
from speech.gateway.v1 import gateway_pb2


class Session:
    """The tasks of one call. Reports of the upload and the stages meet in the inbox, and only `run` answers them."""

    def __init__(
        self,
        recording: Recording,
        spool: Spool,
        inbox: Inbox,
        *,
        accept_partial: bool,
        count: Callable[[float], None],
    ) -> None:
        """`count` is told how many seconds have been decoded, again and again."""
        self._recording = recording
        self._spool = spool
        self._inbox = inbox
        self._accept_partial = accept_partial
        self._count = count

    async def run(self, stages: Iterable[StageRun[Any, Any, Any]], answer: Answer) -> None:
        """Until the last event is sent.

        Raises what the upload raises, and StageFailed where a stage fails for good and the caller does not accept
        partial results, or both do. An error of the upload goes before what it causes.
        """
        with tracing.stage("merge"):
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._receive())
                    for stage in stages:
                        tasks.create_task(self._follow(stage))
                    while not answer.is_complete:
                        await answer.add(await self._inbox.get())
            except ExceptionGroup as group:
                raise _cause(group) from None
            await answer.finish()

    async def _receive(self) -> None:
        def tell(seconds: float) -> None:
            self._count(seconds)
            self._inbox.note(Progress(gateway_pb2.STAGE_UPLOAD, duration(seconds).ToNanoseconds()))

        try:
            await ingest.fill(self._spool, self._recording, tell)
        finally:
            self._count(self._spool.seconds_written)
        tracing.describe(audio_seconds=self._spool.seconds_written)
        await self._inbox.put(Uploaded(duration(self._spool.seconds_written).ToNanoseconds()))

    async def _follow(self, stage: StageRun[Any, Any, Any]) -> None:
        ended = await stage.run(self._spool)
        if ended.completed is None and not self._accept_partial:
            raise StageFailed(ended.status)
        await self._inbox.put(ended)


def _cause(group: ExceptionGroup) -> Exception:
    """The error to tell; the whole group where a bug is among them, so that it is logged."""
    members = [member for member in members_of(group) if isinstance(member, Exception)]
    if not all(isinstance(member, DuoscribeError) for member in members):
        return group
    return next((member for member in members if not isinstance(member, StageFailed)), members[0])
