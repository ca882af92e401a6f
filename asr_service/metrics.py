"""What the recognition service counts. docs/operations.md says what each of them is good for."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from asr_service.jobs import Batch
from asr_service.statistics import EngineStatistics
from serving.metrics import exemplar

_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
# From a GPU that serves one caller to a CPU that does not keep up with speech.
_REAL_TIME_FACTORS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)
_RATIOS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75)
# From an idle GPU to a CPU that is far behind.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class AsrMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.statistics = EngineStatistics()
        self._queued = Gauge(
            "duoscribe_asr_queue_utterances", "Utterances that wait for the engine.", registry=registry
        )
        self._queued_seconds = Gauge(
            "duoscribe_asr_queue_audio_seconds", "Audio that waits for the engine.", registry=registry
        )
        self._wait = Histogram(
            "duoscribe_asr_queue_wait_seconds",
            "How long an utterance waited for the engine.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._compute = Histogram(
            "duoscribe_asr_compute_seconds",
            "How long the engine took for a batch.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch = Histogram(
            "duoscribe_asr_batch_utterances",
            "Utterances in a batch.",
            buckets=_BATCH_SIZES,
            registry=registry,
        )
        self._padding = Histogram(
            "duoscribe_asr_batch_padding_ratio",
            "Part of a batch's computation that went into padding.",
            buckets=_RATIOS,
            registry=registry,
        )
        self._audio = Counter("duoscribe_asr_audio_seconds", "Audio decoded.", registry=registry)
        self._padded = Counter(
            "duoscribe_asr_padded_audio_seconds", "Audio decoded, padding included.", registry=registry
        )
        self._refused = Counter(
            "duoscribe_asr_refused_recordings",
            "Recordings refused since the queue was full.",
            registry=registry,
        )
        self._stopped = Counter(
            "duoscribe_asr_stopped_batches",
            "Batches stopped since nobody waited for them any more.",
            registry=registry,
        )
        self._failed = Counter(
            "duoscribe_asr_failed_batches", "Batches that the engine failed at.", registry=registry
        )
        self._given_up = Counter(
            "duoscribe_asr_given_up_recordings",
            "Recordings that were cancelled or failed before they were recognised whole.",
            registry=registry,
        )
        self._went_on = Histogram(
            "duoscribe_asr_compute_after_cancel_seconds",
            "How long the batch of an utterance went on after its recording was given up.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._wasted = Counter(
            "duoscribe_asr_wasted_compute_seconds",
            "The shares in these batches of utterances that nobody waited for any more.",
            registry=registry,
        )
        self._real_time_factor = Histogram(
            "duoscribe_asr_real_time_factor",
            "Time that a recording took, its upload included, over its length.",
            buckets=_REAL_TIME_FACTORS,
            registry=registry,
        )

    def queued(self, utterances: int, seconds: float) -> None:
        self._queued.set(utterances)
        self._queued_seconds.set(seconds)

    def started(self, batch: Batch, now: float) -> None:
        self._batch.observe(len(batch.jobs))
        for job in batch.jobs:
            self._wait.observe(now - job.arrived)

    def decoded(self, batch: Batch, began: float, ended: float) -> None:
        self.statistics.decoded(batch, began, ended)
        self._compute.observe(ended - began)
        self._audio.inc(batch.seconds)
        self._padded.inc(batch.padded)
        self._padding.observe(1 - batch.seconds / batch.padded)

    def refused(self) -> None:
        self._refused.inc()

    def stopped(self) -> None:
        self._stopped.inc()

    def failed(self, batch: Batch, now: float) -> None:
        self.statistics.broke(batch, now)
        self._failed.inc()

    def given_up(self) -> None:
        self._given_up.inc()

    def went_on(self, batch: Batch, now: float) -> None:
        """A batch has ended, some of whose utterances may not have been wanted to its end."""
        for job, since in batch.given_up.items():
            self._went_on.observe(now - since)
            self._wasted.inc((now - since) * job.padded / batch.padded)

    def recognised(self, audio_seconds: float, wall_seconds: float) -> None:
        """A recording, whole."""
        if audio_seconds:
            self._real_time_factor.observe(wall_seconds / audio_seconds, exemplar())
