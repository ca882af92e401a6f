"""Windows and blocks of all recordings in flight through the two networks, in shared batches, on one thread.

- *When.* The thread takes what is there as soon as it is free; meanwhile work gathers, so batches grow with the load and
  nobody waits for company on purpose. Embedding goes first: until then audio is held, and segmentation, which makes its
  work, fills its batches.
- *Which.* Recordings take turns: each gives one item, and then another, until the batch is full; who gave goes to the back.
  So a long recording does not starve a short one.
- *Failures.* Where a batch fails, each recording's part is computed by itself, so that one does not fail its neighbours.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from diarization_service.inference import Embedding, Segmentation, Stage
from diarization_service.reports import Report
from diarization_service.session import Session
from diarization_service.stages import MachineFailed, Networks
from serving import logs

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class _Part:
    """One recording's share of a batch."""

    session: Session
    items: Any
    waits: Sequence[float]


class Batcher:
    """Runs the networks. `run` belongs to one thread; everything else may be called from any."""

    def __init__(
        self,
        networks: Networks,
        *,
        moved: Callable[[Session], None],
        failed: Callable[[Session, Exception], None],
        report: Callable[[Report], None],
    ) -> None:
        """`moved` is called when a session took results, `failed` when that or computing them raised."""
        self._stages: tuple[Stage, ...] = Embedding(networks), Segmentation(networks)
        self._moved = moved
        self._failed = failed
        self._report = report
        self._news = threading.Condition()
        self._sessions: dict[Session, None] = {}
        self._running: set[Session] = set()
        self._leaving: list[Callable[[], None]] = []

    def add(self, session: Session) -> None:
        with self._news:
            self._sessions[session] = None

    def discard(self, session: Session, then: Callable[[], None] = lambda: None) -> None:
        """Takes nothing more of a session; calls `then` once nothing is computed for it any more."""
        with self._news:
            self._sessions.pop(session, None)
            if session in self._running:
                self._leaving.append(then)
                return
        then()

    def wake(self) -> None:
        """Something may have become ready."""
        with self._news:
            self._news.notify()

    def run(self) -> NoReturn:
        """Raises MachineFailed, upon which the process must end."""
        while True:
            self.step()

    def step(self) -> None:
        """Waits for a batch and computes it."""
        stage, shares = self._wait()
        parts = [part for session, share in shares if (part := self._part(stage, session, share))]
        if parts:
            self._compute(stage, parts)
        self._end()

    def _wait(self) -> tuple[Stage, list[tuple[Session, int]]]:
        """The next batch: who gives how many items to which network."""
        with self._news:
            while (stage := self._due()) is None:
                self._news.wait()
            chosen = self._shares(stage)
            self._running = {session for session, _ in chosen}
            for session, _ in chosen:
                self._sessions[session] = self._sessions.pop(session)
        return stage, chosen

    def _due(self) -> Stage | None:
        """The later stage that has anything to do."""
        return next((stage for stage in self._stages if self._ready(stage)), None)

    def _ready(self, stage: Stage) -> bool:
        return any(session.ready(stage.name) for session in self._sessions)

    def _shares(self, stage: Stage) -> list[tuple[Session, int]]:
        sessions = list(self._sessions)
        given = shares([session.ready(stage.name) for session in sessions], stage.most)
        return [(session, share) for session, share in zip(sessions, given, strict=True) if share]

    def _part(self, stage: Stage, session: Session, most: int) -> _Part | None:
        """What a session gives; None where it has ended meanwhile, or what was ready needs no computing."""
        try:
            items, waits = session.take(stage, most)
        except Exception as error:  # noqa: BLE001  the others' batch goes on
            self._failed(session, error)
            return None
        self._moved(session)
        return _Part(session, items, waits) if len(items) else None

    def _compute(self, stage: Stage, parts: list[_Part]) -> None:
        started = time.monotonic()
        try:
            results = stage.compute([part.items for part in parts])
        except MachineFailed:
            raise
        except Exception as error:  # noqa: BLE001  it belongs to the recordings
            self._blame(stage, parts, error)
            return
        seconds = time.monotonic() - started
        items = sum(len(part.items) for part in parts)
        for part, result in zip(parts, results, strict=True):
            self._deliver(stage, part, result, seconds * len(part.items) / items)
        waits = [wait for part in parts for wait in part.waits]
        self._report(Report(stage.name, items, seconds, waits, self._queued()))

    def _blame(self, stage: Stage, parts: list[_Part], error: Exception) -> None:
        if len(parts) == 1:
            self._failed(parts[0].session, error)
            return
        _log.warning("a batch failed and is computed part by part", stage=stage.name, exc_info=error)
        for part in parts:
            self._compute(stage, [part])

    def _deliver(self, stage: Stage, part: _Part, result: Any, seconds: float) -> None:
        try:
            part.session.accept(stage, result, seconds)
        except Exception as error:  # noqa: BLE001  the others' results go on
            self._failed(part.session, error)
        else:
            self._moved(part.session)

    def _end(self) -> None:
        """Lets those go that were discarded meanwhile."""
        with self._news:
            self._running = set()
            leaving, self._leaving = self._leaving, []
        for then in leaving:
            then()

    def _queued(self) -> dict[str, int]:
        with self._news:
            return {
                stage.name: sum(session.waiting(stage.name) for session in self._sessions)
                for stage in self._stages
            }


def shares(ready: Sequence[int], most: int) -> list[int]:
    """How many each gives of what it has ready: one after the other in turn, `most` together."""
    given = [0] * len(ready)
    left = min(most, sum(ready))
    while left:
        for index, has in enumerate(ready):
            if left and given[index] < has:
                given[index] += 1
                left -= 1
    return given
