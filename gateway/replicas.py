"""The replicas of one backend, and which of them is called.

gRPC for Python has no policy that looks at the calls in flight, and none that promises another replica to a call that is made
again. Both matter where a call lasts as long as a recording does, so the choice is made here: of the replicas that are healthy
the one with the fewest calls in flight, and for a call that is made again one that has not failed it yet. A replica that
refused, or fails time and again, would have the fewest calls of all; it is passed over for a while.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import grpc
from google.rpc import status_pb2
from grpc import aio

from gateway.retries import asked_wait
from serving import logs

# A replica that fails is passed over for so long, in seconds, twice as long with each further failure in a row; one that is
# full for as long as it asks, within reason.
_FIRST_REST, _LONGEST_REST = 1.0, 60.0
# Failures in a row; more make no rest longer, and powers of two would grow out of any float.
_MOST_COUNTED = 10

StubT = TypeVar("StubT")

_log = logs.get_logger(__name__)


class Replica(Generic[StubT]):
    """A channel and what is known of whom it leads to: one replica, or all of them where gRPC balances."""

    def __init__(self, channel: aio.Channel, stub: StubT, target: str) -> None:
        self.stub = stub
        self.target = target
        """Where the channel leads to, as gRPC names it."""
        self.calls = 0
        """In flight, of this process."""
        self._channel = channel
        self._failures = 0
        self._rests_until = self._full_until = 0.0
        self._left = asyncio.Event()
        self._left.set()

    @property
    def is_ready(self) -> bool:
        """Connected, and healthy by its own account; begins to connect where it is not."""
        return self._channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY

    def connect(self) -> None:
        """Begin to, so that the first call does not wait for it."""
        self._channel.get_state(try_to_connect=True)

    @contextmanager
    def call(self) -> Iterator[StubT]:
        """Around a call, which counts meanwhile."""
        self.calls += 1
        self._left.clear()
        try:
            yield self.stub
        finally:
            self.calls -= 1
            if not self.calls:
                self._left.set()

    def rests(self, now: float) -> bool:
        return now < max(self._rests_until, self._full_until)

    def full_for(self, now: float) -> float:
        """Seconds for which it asked not to be called; 0 where it did not."""
        return max(0.0, self._full_until - now)

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, status: status_pb2.Status, now: float) -> None:
        """For a reason that another replica may not have."""
        if asked := asked_wait(status):
            self._full_until = now + min(asked, _LONGEST_REST)
            return
        self._rests_until = now + min(_FIRST_REST * 2**self._failures, _LONGEST_REST)
        self._failures = min(self._failures + 1, _MOST_COUNTED)

    async def close(self) -> None:
        await self._channel.close()

    async def retire(self) -> None:
        """Close it once its calls have ended, or when this is cancelled."""
        try:
            await self._left.wait()
        finally:
            await self.close()


class Replicas(Generic[StubT]):
    """Those of one backend, by target. Belongs to the event loop that it is made in."""

    def __init__(self, connect: Callable[[str], Replica[StubT]]) -> None:
        self._connect = connect
        self._replicas: dict[str, Replica[StubT]] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    def update(self, targets: Iterable[str]) -> None:
        """These are all there are now. Calls to others go on until they end."""
        wanted = set(targets)
        gone, new = self._replicas.keys() - wanted, wanted - self._replicas.keys()
        if gone or new:
            _log.info("replicas of a backend", new=sorted(new), gone=sorted(gone))
        for target in gone:
            task = asyncio.create_task(self._replicas.pop(target).retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        for target in new:
            self._replicas[target] = self._connect(target)
            self._replicas[target].connect()

    def pick(self, failed: "Counter[Replica[StubT]]") -> Replica[StubT] | None:
        """Whom to call, where these have failed as often; None where nobody is known."""
        now = asyncio.get_running_loop().time()

        def rank(replica: Replica[StubT]) -> tuple[bool, int, bool, int, float]:
            ready, rests = replica.is_ready, replica.rests(now)
            return not ready, failed[replica], rests, replica.calls, random.random()  # noqa: S311 - no secret

        return min(self._replicas.values(), key=rank, default=None)

    def full_for(self) -> float:
        """Seconds until one that is ready takes calls, as far as they have said."""
        now = asyncio.get_running_loop().time()
        waits = [replica.full_for(now) for replica in self._replicas.values() if replica.is_ready]
        return min(waits, default=0.0)

    async def close(self) -> None:
        for task in self._retiring:
            task.cancel()
        closing = (replica.close() for replica in self._replicas.values())
        await asyncio.gather(*closing, *self._retiring, return_exceptions=True)
