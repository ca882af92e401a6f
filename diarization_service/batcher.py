"""Windows and blocks of all recordings in flight through the two networks, in shared batches.

- *When.* One thread computes, and takes what is there as soon as it is free; meanwhile work gathers, so batches grow with the
  load and nobody waits for company on purpose. Meanwhile another thread copies the next batch together, if that is full.
  Embedding goes first: audio is held until then, and segmentation, which makes its work, fills its batches.
- *Which.* Recordings take turns: each gives one item, and then another, until the batch is full; who gave goes to the back.
  So a long recording does not starve a short one.
- *Failures.* Where a batch fails, each recording's part is computed by itself, so that one does not fail its neighbours.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
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


@dataclass(frozen=True)
class _Batch:
    """What goes through a network together."""

    stage: Stage
    parts: Sequence[_Part]
    joined: Any
    """What all parts hold."""

    @classmethod
    def of(cls, stage: Stage, parts: Sequence[_Part]) -> "_Batch":
        return cls(stage, parts, stage.joined([part.items for part in parts]) if parts else None)

    def only(self, sessions: Collection[Session]) -> "_Batch":
        """Without those who left."""
        parts = [part for part in self.parts if part.session in sessions]
        return self if len(parts) == len(self.parts) else _Batch.of(self.stage, parts)


class Batcher:
    """Runs the networks. `run` or `step` belongs to one thread; everything else may be called from any."""

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
        self._prepared: _Batch | None = None
        self._broken: Exception | None = None
        self._last: Stage | None = None
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
            self._news.notify_all()

    def run(self) -> NoReturn:
        """Raises MachineFailed, upon which the process must end."""
        threading.Thread(target=self._prepare_all, name="prepare", daemon=True).start()
        while True:
            self._compute_next()

    def step(self) -> None:
        """Waits for a batch and computes it, in the calling thread alone."""
        self._prepare()
        self._compute_next()

    def _prepare_all(self) -> None:
        try:
            while True:
                self._prepare()
        except Exception as error:  # noqa: BLE001  raised where somebody hears it
            with self._news:
                self._broken = error
                self._news.notify_all()

    def _prepare(self) -> None:
        """Waits for work while no batch is ready to be computed, and makes one of it."""
        with self._news:
            while self._prepared is not None or (stage := self._due()) is None:
                self._news.wait()
            chosen = self._shares(stage)
            for session, _ in chosen:
                self._sessions[session] = self._sessions.pop(session)
        parts = [part for session, share in chosen if (part := self._part(stage, session, share))]
        batch = _Batch.of(stage, parts)
        with self._news:
            self._prepared = batch
            self._last = stage
            self._news.notify_all()

    def _compute_next(self) -> None:
        batch = self._begin()
        if batch.parts:
            self._compute(batch)
        self._end()

    def _begin(self) -> _Batch:
        with self._news:
            while self._prepared is None:
                if self._broken is not None:
                    raise self._broken
                self._news.wait()
            batch, self._prepared = self._prepared.only(self._sessions), None
            self._running = {part.session for part in batch.parts}
            self._news.notify_all()
        return batch

    def _due(self) -> Stage | None:
        """Embedding before segmentation; while something is computed, only full batches, but what was segmented last."""
        for stage in self._stages:
            ready = sum(session.ready(stage.name) for session in self._sessions)
            follows = isinstance(stage, Embedding) and isinstance(self._last, Segmentation)
            if ready and (ready >= stage.most or follows or not self._running):
                return stage
        return None

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

    def _compute(self, batch: _Batch) -> None:
        started = time.monotonic()
        try:
            results = batch.stage.compute(batch.joined, [len(part.items) for part in batch.parts])
        except MachineFailed:
            raise
        except Exception as error:  # noqa: BLE001  it belongs to the recordings
            self._blame(batch, error)
            return
        seconds = time.monotonic() - started
        items = sum(len(part.items) for part in batch.parts)
        for part, result in zip(batch.parts, results, strict=True):
            self._deliver(batch.stage, part, result, seconds * len(part.items) / items)
        waits = [wait for part in batch.parts for wait in part.waits]
        self._report(Report(batch.stage.name, items, seconds, waits, self._queued()))

    def _blame(self, batch: _Batch, error: Exception) -> None:
        if len(batch.parts) == 1:
            self._failed(batch.parts[0].session, error)
            return
        _log.warning("a batch failed and is computed part by part", stage=batch.stage.name, exc_info=error)
        for part in batch.parts:
            self._compute(_Batch.of(batch.stage, [part]))

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
            self._news.notify_all()
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
