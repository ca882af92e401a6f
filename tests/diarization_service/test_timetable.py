"""Calls come in order of when they are due, and not before."""

import queue
import time
from itertools import pairwise

from diarization_service.timetable import Timetable


def test_calls_come_when_they_are_due_whatever_the_order_in_which_they_were_added() -> None:
    timetable = Timetable("test")
    called = queue.Queue[tuple[str, float]]()

    def note(name: str) -> None:
        called.put((name, time.monotonic()))

    started = time.monotonic()
    for name, delay in (("last", 0.2), ("first", 0.0), ("second", 0.1)):
        timetable.add(started + delay, lambda name=name: note(name))
    seen = [called.get(timeout=10) for _ in range(3)]
    assert [name for name, _ in seen] == ["first", "second", "last"]
    assert all(when >= started + delay for (_, when), delay in zip(seen, (0, 0.1, 0.2), strict=True))


def test_all_calls_together_take_their_share_of_the_time_and_no_more() -> None:
    timetable = Timetable("test", share=0.25)
    begun = queue.Queue[float]()

    def work() -> None:
        begun.put(time.monotonic())
        time.sleep(0.05)

    for _ in range(3):
        timetable.add(0.0, work)
    times = [begun.get(timeout=10) for _ in range(3)]
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(times))
