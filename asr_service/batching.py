"""Which utterances of which streams go to the engine together, and when. Pure: time is handed in.

- *When.* A free decoder takes what is there; while all are busy the queue fills, so batches grow with the load and
  nobody waits for company on purpose. Only where the engine is idle may an utterance wait for company: up to `max_delay`
  from its arrival, and neither when a batch is full nor when all streams that could bring more already have something
  here. This is the dynamic batcher of NVIDIA's Triton (`max_queue_delay_microseconds`), called delayed batching by
  Crankshaw et al., "Clipper: A Low-Latency Online Prediction Serving System", NSDI 2017, section 4.3.
- *Which.* Streams take turns. The one whose turn it is gives its oldest utterance, and that one's bucket is the batch's;
  the others, and then all again, add what they have next as long as it is of this bucket. Who gave goes to the back. So a
  long recording does not starve a short one, and a bucket that nobody shares is served once its stream's turn comes:
  after at most as many batches as there are streams.
- A stream's utterances keep their order: one that does not fit holds back those behind it.
"""

import math
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice, takewhile, zip_longest
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """An utterance that waits to be decoded."""

    @property
    def stream(self) -> Hashable: ...

    @property
    def bucket(self) -> int:
        """Only utterances of equal bucket share a batch."""

    @property
    def seconds(self) -> float:
        """Of audio."""

    @property
    def arrived(self) -> float:
        """When it came, in seconds on the caller's clock."""


ItemT = TypeVar("ItemT", bound=Waiting)


class BatchQueue(Generic[ItemT]):
    """A queue for each stream; one at the front has the turn."""

    def __init__(self, *, max_batch: int, max_delay: float, max_seconds: float = math.inf) -> None:
        """`max_delay`: seconds that an utterance may wait for company. `max_seconds`: of audio, of several together."""
        self._max_batch = max_batch
        self._max_seconds = max_seconds
        self._max_delay = max_delay
        self._queues: dict[Hashable, deque[ItemT]] = {}
        self._length = 0
        self._seconds = 0.0

    def __len__(self) -> int:
        return self._length

    def __contains__(self, stream: Hashable) -> bool:
        """Whether this stream has something here."""
        return stream in self._queues

    @property
    def seconds(self) -> float:
        """Of audio, all together."""
        return self._seconds

    def add(self, item: ItemT) -> None:
        self._queues.setdefault(item.stream, deque()).append(item)
        self._count(1, item.seconds)

    def discard(self, item: ItemT) -> bool:
        """Drops what nobody waits for any more; tells whether it was still here."""
        queue = self._queues.get(item.stream)
        if queue is None or item not in queue:
            return False
        queue.remove(item)
        if not queue:
            del self._queues[item.stream]
        self._count(-1, -item.seconds)
        return True

    def delay(self, now: float, *, more_may_come: bool) -> float | None:
        """Seconds for which a free decoder should still wait for company; None where nothing is here."""
        if not self._queues:
            return None
        if not more_may_come or self._is_full():
            return 0.0
        oldest = min(queue[0].arrived for queue in self._queues.values())
        return max(0.0, oldest + self._max_delay - now)

    def take(self, decoders: int = 1) -> list[ItemT]:
        """The next batch, at least one utterance; as small as lets so many free decoders have their share."""
        fair_share = -(-self._length // decoders)
        batch = list(self._next(min(self._most(), fair_share)))
        for item in batch:
            queue = self._queues.pop(item.stream)
            queue.popleft()
            if queue:
                self._queues[item.stream] = queue
            self._count(-1, -item.seconds)
        return batch

    def _is_full(self) -> bool:
        most = self._most()
        return sum(1 for _ in self._next(most)) == most

    def _most(self) -> int:
        """Of the bucket whose turn it is; all of it are about as long as the first."""
        first = next(iter(self._queues.values()))[0]
        return max(1, int(min(self._max_batch, self._max_seconds / (first.seconds or 1))))

    def _next(self, limit: int) -> Iterator[ItemT]:
        """One of each stream in turn, then another of each, as far as they are of the first one's bucket."""
        bucket = next(iter(self._queues.values()))[0].bucket
        same = (takewhile(lambda item: item.bucket == bucket, queue) for queue in self._queues.values())
        return islice(_in_turn(same), limit)

    def _count(self, items: int, seconds: float) -> None:
        self._length += items
        # Sums of floats drift; nothing is nothing.
        self._seconds = self._seconds + seconds if self._length else 0.0


def _in_turn(lines: Iterable[Iterable[ItemT]]) -> Iterator[ItemT]:
    for rank in zip_longest(*lines):
        yield from (item for item in rank if item is not None)
