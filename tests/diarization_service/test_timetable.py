"""Calls come in order of when they are due, and not before."""

import queue
import time

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
