"""How long what waits in the workers will take. Fed by their reports; pure."""

from collections import defaultdict

from diarization_service.reports import EMBEDDING, SEGMENTATION, Report

# Each batch weighs this much less than the one after it, so that the last ten or so decide.
_MEMORY = 0.9


class Pace:
    """Of one network."""

    def __init__(self) -> None:
        self.items = 0.0
        """In the last batches."""
        self._seconds = 0.0

    def saw(self, items: int, seconds: float) -> None:
        """A batch."""
        self.items = _MEMORY * self.items + items
        self._seconds = _MEMORY * self._seconds + seconds

    def forget(self) -> None:
        """A batch of the other network."""
        self.items *= _MEMORY
        self._seconds *= _MEMORY

    @property
    def seconds(self) -> float:
        """That an item takes; 0 before one was computed."""
        return self._seconds / self.items if self.items else 0.0


class WorkerLine:
    """What waits in one worker: windows for segmentation, and blocks, which come of segmented windows, for embedding."""

    def __init__(self) -> None:
        self._segmentation, self._embedding = Pace(), Pace()
        self._queued: dict[str, int] = {}

    def reported(self, report: Report) -> None:
        if report.stage == SEGMENTATION:
            self._segmentation.saw(report.items, report.seconds)
            self._embedding.forget()
        elif report.stage == EMBEDDING:
            self._embedding.saw(report.items, report.seconds)
            self._segmentation.forget()
        self._queued.update(report.queued)

    def wait(self) -> float:
        """Seconds, with the blocks that windows have yet to become: as many a window as lately."""
        windows = self._queued.get(SEGMENTATION, 0)
        blocks: float = self._queued.get(EMBEDDING, 0)
        if self._segmentation.items:
            blocks += windows * self._embedding.items / self._segmentation.items
        return windows * self._segmentation.seconds + blocks * self._embedding.seconds


class Lines:
    """One a worker, by its number."""

    def __init__(self) -> None:
        self._lines: defaultdict[int, WorkerLine] = defaultdict(WorkerLine)

    def reported(self, worker: int, report: Report) -> None:
        self._lines[worker].reported(report)

    def wait(self, worker: int) -> float:
        """Seconds; 0 before it has reported."""
        return self._lines[worker].wait()
