"""One `recognize` call can be asked to end early, from any thread."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from asr_service.engines.base import NEVER, Speech, Stop, Stopped
from asr_service.engines.continuing import ContinuingEngine
from support.recognition import FakeEngine

SPEECH = Speech(np.zeros(16, np.float32))


def test_checking_raises_once_it_is_set() -> None:
    stop = Stop()
    stop.check()
    stop.set()
    assert stop.is_set
    with pytest.raises(Stopped):
        stop.check()


def test_callbacks_run_once_when_it_is_set() -> None:
    stop, told = Stop(), list[str]()
    stop.on_set(lambda: told.append("first"))
    stop.on_set(lambda: told.append("second"))
    assert told == []
    stop.set()
    stop.set()
    assert told == ["first", "second"]


def test_a_callback_that_comes_late_runs_at_once() -> None:
    stop, told = Stop(), list[str]()
    stop.set()
    stop.on_set(lambda: told.append("late"))
    assert told == ["late"]


def test_no_callback_is_lost_between_threads() -> None:
    for _ in range(50):
        stop, told = Stop(), list[int]()
        note: Callable[[int], Callable[[], None]] = lambda n, told=told: lambda: told.append(n)  # noqa: E731
        setter = threading.Thread(target=stop.set)
        setter.start()
        for number in range(100):
            stop.on_set(note(number))
        setter.join()
        assert sorted(told) == list(range(100))


def test_what_nobody_stops_cannot_be_set() -> None:
    with pytest.raises(RuntimeError):
        NEVER.set()
    assert not NEVER.is_set


def test_continuing_hands_it_to_the_engine() -> None:
    stop = Stop()
    engine = FakeEngine(gate=threading.Event())
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Stopped):
        ContinuingEngine(engine).recognize([SPEECH], stop)
