"""Which utterances share a batch, and when it is taken."""

import itertools
import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_service.batching import BatchQueue

_numbers = itertools.count()


@dataclass(frozen=True)
class Item:
    stream: str
    bucket: int = 0
    arrived: float = 0.0
    seconds: float = 1.0
    number: int = field(default_factory=lambda: next(_numbers))


def queue_of(
    *items: Item, max_batch: int = 4, max_delay: float = 0.0, max_seconds: float = math.inf
) -> BatchQueue[Item]:
    queue = BatchQueue[Item](max_batch=max_batch, max_delay=max_delay, max_seconds=max_seconds)
    for item in items:
        queue.add(item)
    return queue


def streams(batch: list[Item]) -> str:
    return "".join(item.stream for item in batch)


def drained(queue: BatchQueue[Item]) -> list[list[Item]]:
    return [queue.take() for _ in iter(lambda: len(queue) > 0, False)]


ITEMS = st.lists(st.builds(Item, stream=st.sampled_from("abcdef"), bucket=st.integers(0, 2)), max_size=40)
SIZES = st.integers(1, 9)


@settings(deadline=None)
@given(ITEMS, SIZES)
def test_every_utterance_is_taken_once(items: list[Item], max_batch: int) -> None:
    taken = [item for batch in drained(queue_of(*items, max_batch=max_batch)) for item in batch]
    assert sorted(item.number for item in taken) == sorted(item.number for item in items)


@settings(deadline=None)
@given(ITEMS, SIZES)
def test_a_batch_has_one_bucket_and_is_never_too_large(items: list[Item], max_batch: int) -> None:
    for batch in drained(queue_of(*items, max_batch=max_batch)):
        assert 1 <= len(batch) <= max_batch
        assert len({item.bucket for item in batch}) == 1


@pytest.mark.parametrize(
    ("seconds", "together"), [(1.0, 4), (3.0, 4), (5.0, 2), (11.0, 1), (30.0, 1), (0.0, 4)]
)
def test_long_utterances_share_smaller_batches(seconds: float, together: int) -> None:
    items = [Item(stream, seconds=seconds) for stream in "abcdefgh"]
    batches = drained(queue_of(*items, max_batch=4, max_seconds=12.0))
    assert {len(batch) for batch in batches} == {together}


def test_nobody_waits_for_more_company_than_there_is_room_for() -> None:
    queue = queue_of(Item("a", seconds=5.0), Item("b", seconds=5.0), max_delay=1.0, max_seconds=12.0)
    assert queue.delay(0.5, more_may_come=True) == 0.0


@settings(deadline=None)
@given(ITEMS, SIZES)
def test_a_stream_keeps_its_order(items: list[Item], max_batch: int) -> None:
    taken = [item for batch in drained(queue_of(*items, max_batch=max_batch)) for item in batch]
    for stream in "abcdef":
        numbers = [item.number for item in taken if item.stream == stream]
        assert numbers == sorted(numbers)


@settings(deadline=None)
@given(ITEMS, SIZES)
def test_a_batch_is_only_small_where_nothing_else_fits(items: list[Item], max_batch: int) -> None:
    queue = queue_of(*items, max_batch=max_batch)
    left = list(items)
    while len(queue):
        batch = queue.take()
        left = [item for item in left if item not in batch]
        heads = [next(item for item in left if item.stream == s) for s in {item.stream for item in left}]
        assert len(batch) == max_batch or batch[0].bucket not in {head.bucket for head in heads}


@settings(deadline=None)
@given(ITEMS, SIZES, st.data())
def test_no_stream_waits_longer_than_there_are_streams(
    items: list[Item], max_batch: int, data: st.DataObject
) -> None:
    """Whatever its bucket, and whatever the others add meanwhile."""
    queue = queue_of(*items, max_batch=max_batch)
    served = dict.fromkeys((item.stream for item in items), 0)
    for batch_number in range(1, 30):
        if not len(queue):
            break
        for item in queue.take():
            served[item.stream] = batch_number
        waiting = [stream for stream in served if stream in queue]
        assert all(batch_number - served[stream] < len(served) for stream in waiting)
        if waiting:
            queue.add(Item(data.draw(st.sampled_from(waiting)), data.draw(st.integers(0, 2))))


@settings(deadline=None)
@given(ITEMS, SIZES, st.sets(st.integers(0, 39)))
def test_what_was_discarded_is_never_taken(items: list[Item], max_batch: int, gone: set[int]) -> None:
    queue = queue_of(*items, max_batch=max_batch)
    dropped = [item for index, item in enumerate(items) if index in gone]
    assert all(queue.discard(item) for item in dropped)
    assert not any(queue.discard(item) for item in dropped)
    taken = [item for batch in drained(queue) for item in batch]
    assert {item.number for item in taken} == {item.number for item in items} - {i.number for i in dropped}


@settings(deadline=None)
@given(ITEMS, SIZES)
def test_it_knows_how_much_it_holds(items: list[Item], max_batch: int) -> None:
    queue = queue_of(*items, max_batch=max_batch)
    held = len(items)
    while held:
        assert len(queue) == held
        assert queue.seconds == pytest.approx(held)
        held -= len(queue.take())
    assert (len(queue), queue.seconds) == (0, 0.0)


def test_streams_give_one_each_before_anybody_gives_a_second() -> None:
    queue = queue_of(*(Item("a") for _ in range(5)), Item("b"), Item("c"), Item("c"))
    assert [streams(batch) for batch in drained(queue)] == ["abca", "caaa"]


def test_who_gave_goes_to_the_back() -> None:
    queue = queue_of(*(Item(stream) for stream in "aabbcc"), max_batch=2)
    assert [streams(batch) for batch in drained(queue)] == ["ab", "ca", "bc"]


def test_who_has_the_turn_says_which_bucket() -> None:
    queue = queue_of(Item("a", 1), Item("b", 2), Item("c", 1), Item("b", 1), Item("d", 2))
    assert [streams(batch) for batch in drained(queue)] == ["ac", "bd", "b"]


def test_decoders_that_are_free_share_what_is_there() -> None:
    queue = queue_of(*(Item(stream) for stream in "abcde"), max_batch=4)
    assert [streams(queue.take(3)), streams(queue.take(2)), streams(queue.take(1))] == ["ab", "cd", "e"]


def test_nobody_waits_for_nothing() -> None:
    assert queue_of().delay(0.0, more_may_come=True) is None


def test_an_utterance_waits_for_company_and_no_longer_than_allowed() -> None:
    queue = queue_of(Item("a", arrived=10.0), Item("b", arrived=10.2), max_delay=0.5)
    assert queue.delay(10.1, more_may_come=True) == pytest.approx(0.4)
    assert queue.delay(10.5, more_may_come=True) == 0.0
    assert queue.delay(99.0, more_may_come=True) == 0.0


def test_the_oldest_counts_whoever_has_the_turn() -> None:
    queue = queue_of(Item("a", arrived=10.0), Item("b", arrived=10.1), Item("a", arrived=10.4), max_delay=0.5)
    queue.take(3)
    assert queue.delay(10.2, more_may_come=True) == pytest.approx(0.4)


def test_nobody_waits_where_no_company_can_come() -> None:
    assert queue_of(Item("a"), max_delay=0.5).delay(0.0, more_may_come=False) == 0.0


def test_a_full_batch_does_not_wait() -> None:
    queue = queue_of(*(Item(stream) for stream in "abcd"), max_delay=0.5)
    assert queue.delay(0.0, more_may_come=True) == 0.0


def test_utterances_of_another_bucket_do_not_fill_a_batch() -> None:
    queue = queue_of(*(Item(stream) for stream in "abc"), Item("d", 1), max_delay=0.5)
    assert queue.delay(0.0, more_may_come=True) == 0.5
