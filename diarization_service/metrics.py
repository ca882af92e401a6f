"""What the diarization service counts. docs/operations.md says what each of them is good for."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from diarization_service.reports import EMBEDDING, SEGMENTATION, Report
from serving.metrics import exemplar

_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# From a small batch on a GPU to the clustering of a day.
_REAL_TIME_FACTORS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class DiarizationMetrics:
    """Fed by the workers' reports and by the servicer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queued = Gauge(
            "duoscribe_diarization_queue_items",
            "Windows that wait for segmentation, and blocks of windows that wait for embedding.",
            ["stage"],
            registry=registry,
        )
        self._wait = Histogram(
            "duoscribe_diarization_queue_wait_seconds",
            "How long a window or a block waited for its network.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._compute = Histogram(
            "duoscribe_diarization_compute_seconds",
            "How long a batch took, or the clustering of a recording.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch = Histogram(
            "duoscribe_diarization_batch_items",
            "Windows or blocks in a batch.",
            ["stage"],
            buckets=_BATCH_SIZES,
            registry=registry,
        )
        self._given_up = Histogram(
            "duoscribe_diarization_compute_after_cancel_seconds",
            "How long the networks or clustering went on with a recording that was given up.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._recordings = Gauge(
            "duoscribe_diarization_recordings", "Recordings in flight.", registry=registry
        )
        self._audio = Counter(
            "duoscribe_diarization_audio_seconds", "Audio of recordings diarized whole.", registry=registry
        )
        self._real_time_factor = Histogram(
            "duoscribe_diarization_real_time_factor",
            "Time that a recording took, its upload included, over its length.",
            buckets=_REAL_TIME_FACTORS,
            registry=registry,
        )
        self._refused = Counter(
            "duoscribe_diarization_refused_recordings",
            "Recordings refused since all places were taken.",
            registry=registry,
        )
        self._lost = Counter(
            "duoscribe_diarization_lost_workers",
            "Worker processes that ended by themselves.",
            registry=registry,
        )
        self._queues: dict[int, dict[str, int]] = {}

    def reported(self, worker: int, report: Report) -> None:
        """By the worker of this number."""
        if report.given_up:
            self._given_up.labels(report.stage).observe(report.seconds)
            return
        self._compute.labels(report.stage).observe(report.seconds)
        if report.stage in (SEGMENTATION, EMBEDDING):
            self._batch.labels(report.stage).observe(report.items)
        for wait in report.waits:
            self._wait.labels(report.stage).observe(wait)
        self._queues.setdefault(worker, {}).update(report.queued)
        self._count_queues()

    def started(self) -> None:
        self._recordings.inc()

    def ended(self) -> None:
        self._recordings.dec()

    def diarized(self, audio_seconds: float, wall_seconds: float) -> None:
        """A recording, whole."""
        self._audio.inc(audio_seconds)
        if audio_seconds:
            self._real_time_factor.observe(wall_seconds / audio_seconds, exemplar())

    def refused(self) -> None:
        self._refused.inc()

    def lost(self, worker: int) -> None:
        """What waited there waits no more."""
        self._lost.inc()
        self._queues.pop(worker, None)
        self._count_queues()

    def _count_queues(self) -> None:
        for stage in (SEGMENTATION, EMBEDDING):
            self._queued.labels(stage).set(sum(queued.get(stage, 0) for queued in self._queues.values()))
