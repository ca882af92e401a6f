"""Who shares a batch with whom, in which order, and what happens to those who fail or leave. No processes, no clocks."""

import contextlib
import io
import threading
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.deterministic.written import GEOMETRY, WrittenNetworks, cut, spoken
from diarization_service.batcher import Batcher, shares
from diarization_service.early_turns import EarlyClustering
from diarization_service.mailbox import Outbox
from diarization_service.recording import Recording
from diarization_service.reports import EMBEDDING, SEGMENTATION, Report
from diarization_service.session import Session
from diarization_service.stages import Activity, Block, Floats, MachineFailed, Samples, Windows
from serving.speakers import SpeakerBounds
from speech.diarization.v1.diarization_pb2 import DiarizationConfig


class WatchedNetworks(WrittenNetworks):
    """Notes whose windows and blocks come together; in these tests a person speaks in one recording alone."""

    def __init__(self, segmentation_batch: int = 8, embedding_batch: int = 4) -> None:
        super().__init__()
        self.segmentation_batch = segmentation_batch
        self.embedding_batch = embedding_batch
        self.batches: list[tuple[str, list[int]]] = []
        self.errors: dict[int, Exception] = {}
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.has_begun = threading.Event()

    def segment(self, windows: Windows) -> Activity:
        self._note(SEGMENTATION, cut(windows))
        return super().segment(windows)

    def embed(self, blocks: list[Block]) -> list[Floats]:
        self._note(EMBEDDING, [window for block in blocks for window in cut(block)])
        return super().embed(blocks)

    def persons(self, stage: str) -> list[list[int]]:
        return [persons for of, persons in self.batches if of == stage]

    def _note(self, stage: str, windows: Sequence[Samples]) -> None:
        persons = [round(-float(np.min(window)) * 32_768) - 1 for window in windows]
        self.batches.append((stage, persons))
        self.has_begun.set()
        self.may_go_on.wait()
        for person in persons:
            if person in self.errors:
                raise self.errors[person]


class UnspeakableError(Exception):
    """Not of one recording."""


class Room:
    """A batcher, and what it says."""

    unspeakable = -1

    def __init__(self, networks: WatchedNetworks) -> None:
        self.networks = networks
        self.failed: dict[int, Exception] = {}
        self.moved: list[int] = []
        self.reports: list[Report] = []
        self.batcher = Batcher(networks, moved=self._move, failed=self._fail, report=self.reports.append)

    def bring(self, person: int, windows: int, early: EarlyClustering | None = None) -> Session:
        """A recording of this person, ended, of so many windows."""
        recording = Recording(GEOMETRY, SpeakerBounds(), early)
        session = Session(person, DiarizationConfig(), recording, Outbox(io.BytesIO()), most_held=10**9)
        self.batcher.add(session)
        session.feed(spoken((9.0 + windows, [person])))
        session.end()
        return session

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.batcher.step()

    def run_until_the_machine_fails(self) -> None:
        with contextlib.suppress(MachineFailed):
            self.batcher.run()

    def _move(self, session: Session) -> None:
        if session.number == self.unspeakable:
            raise UnspeakableError
        self.moved.append(session.number)

    def _fail(self, session: Session, error: Exception) -> None:
        self.failed[session.number] = error
        session.close()
        self.batcher.discard(session)


@given(st.lists(st.integers(0, 20)), st.integers(1, 40))
def test_shares_are_as_even_as_what_is_ready_allows(ready: list[int], most: int) -> None:
    given = shares(ready, most)
    assert sum(given) == min(most, sum(ready))
    assert all(share <= has for share, has in zip(given, ready, strict=True))
    for share, has in zip(given, ready, strict=True):
        assert share == has or share >= max(given) - 1


def test_recordings_share_batches() -> None:
    room = Room(WatchedNetworks())
    for person in range(3):
        room.bring(person, windows=5)
    room.steps(1)
    assert Counter(room.networks.persons(SEGMENTATION)[0]) == {0: 3, 1: 3, 2: 2}


def test_a_long_recording_does_not_starve_a_short_one() -> None:
    room = Room(WatchedNetworks())
    room.bring(0, windows=100)
    room.steps(3)
    room.bring(1, windows=1)
    before = len(room.networks.batches)
    while not any(1 in persons for persons in room.networks.persons(EMBEDDING)):
        room.steps(1)
    assert len(room.networks.batches) - before <= 4


def test_where_a_batch_is_smaller_than_the_crowd_all_have_their_turn() -> None:
    room = Room(WatchedNetworks(segmentation_batch=2))
    for person in range(5):
        room.bring(person, windows=2)
    room.steps(10)
    assert room.networks.persons(SEGMENTATION) == [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4]]


def test_what_is_segmented_is_embedded_before_more_is_segmented() -> None:
    room = Room(WatchedNetworks(segmentation_batch=3, embedding_batch=2))
    room.bring(0, windows=5)
    room.steps(5)
    assert [(stage, len(persons)) for stage, persons in room.networks.batches] == [
        (SEGMENTATION, 3),
        (EMBEDDING, 2),
        (EMBEDDING, 1),
        (SEGMENTATION, 2),
        (EMBEDDING, 2),
    ]


def test_everybody_is_computed_whole_whatever_the_company() -> None:
    room = Room(WatchedNetworks())
    waiting = {room.bring(person, windows=2 * person + 1) for person in range(6)}
    while waiting:
        room.steps(1)
        waiting = {session for session in waiting if not session.claim_answer()}
    assert Counter(person for persons in room.networks.persons(EMBEDDING) for person in persons) == {
        person: 2 * person + 1 for person in range(6)
    }


def test_what_is_reported_adds_up() -> None:
    room = Room(WatchedNetworks())
    room.bring(0, windows=20)
    room.steps(1)
    (report,) = room.reports
    assert (report.stage, report.items, len(report.waits)) == (SEGMENTATION, 8, 8)
    assert report.queued == {SEGMENTATION: 12, EMBEDDING: 8}


def test_one_who_fails_does_not_fail_its_neighbours() -> None:
    room = Room(WatchedNetworks())
    room.networks.errors[1] = ValueError("not with this one")
    for person in range(3):
        room.bring(person, windows=1)
    room.steps(2)
    assert room.failed == {1: room.networks.errors[1]}
    assert sorted(room.networks.persons(EMBEDDING)[0]) == [0, 2]


def test_a_machine_that_fails_ends_it_all() -> None:
    room = Room(WatchedNetworks())
    room.networks.errors[0] = MachineFailed("out of memory")
    room.bring(0, windows=1)
    with pytest.raises(MachineFailed):
        room.steps(1)


def test_who_leaves_the_queue_is_not_computed() -> None:
    room = Room(WatchedNetworks())
    left, stayed = room.bring(0, windows=3), room.bring(1, windows=3)
    has_left = threading.Event()
    room.batcher.discard(left, has_left.set)
    assert has_left.is_set()
    room.steps(1)
    assert room.networks.persons(SEGMENTATION) == [[1, 1, 1]]
    assert stayed.waiting(EMBEDDING) == 3


def test_who_leaves_a_running_batch_is_told_once_it_is_over() -> None:
    room = Room(WatchedNetworks())
    session = room.bring(0, windows=20)
    has_left = threading.Event()
    room.networks.may_go_on.clear()
    step = threading.Thread(target=room.steps, args=(1,))
    step.start()
    room.networks.has_begun.wait()
    session.close()
    room.batcher.discard(session, has_left.set)
    assert not has_left.is_set()
    room.networks.may_go_on.set()
    step.join()
    assert has_left.is_set()
    assert session.waiting(EMBEDDING) == 0


def test_while_one_ones_early_turns_are_made_the_others_are_computed() -> None:
    class Slow:
        """Early clustering that takes its time."""

        def __init__(self) -> None:
            self.has_begun = threading.Event()
            self.may_go_on = threading.Event()

        def add(self, embeddings: Floats, clean: object) -> None:
            self.count = len(embeddings)

        def labels(self) -> object:
            self.has_begun.set()
            self.may_go_on.wait()
            return np.zeros(self.count, np.int64)

    room = Room(WatchedNetworks(segmentation_batch=2, embedding_batch=1))
    early = Slow()
    slow = room.bring(0, windows=9, early=early)
    room.steps(2)
    telling = threading.Thread(target=slow.tell_early)
    telling.start()
    early.has_begun.wait()
    room.bring(1, windows=2)
    room.steps(3)
    early.may_go_on.set()
    telling.join()
    assert [persons for _, persons in room.networks.batches[2:]] == [[1, 1], [1], [1]]
    assert slow.ready(SEGMENTATION) == 7


def test_the_next_full_batch_is_made_while_one_is_computed_and_who_left_since_is_not_in_it() -> None:
    room = Room(WatchedNetworks())
    room.networks.errors[9] = MachineFailed("the end of this test")
    left, stayed = room.bring(0, windows=20), room.bring(1, windows=20)
    room.networks.may_go_on.clear()
    running = threading.Thread(target=room.run_until_the_machine_fails)
    running.start()
    room.networks.has_begun.wait()
    while stayed.waiting(SEGMENTATION) > 12:
        time.sleep(0.001)
    left.close()
    room.batcher.discard(left)
    room.bring(9, windows=1)
    room.networks.may_go_on.set()
    running.join()
    assert room.networks.persons(SEGMENTATION)[:2] == [[0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1]]


def test_what_breaks_while_a_batch_is_made_ends_it_all() -> None:
    room = Room(WatchedNetworks())
    session = room.bring(0, windows=1)
    session.number = room.unspeakable
    with pytest.raises(UnspeakableError):
        room.batcher.run()
