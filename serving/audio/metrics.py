"""What is counted of decoders. docs/operations.md says what it is good for."""

from prometheus_client import CollectorRegistry, Counter

from serving.audio.endings import Cause


class DecoderMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended_early = Counter(
            "duoscribe_broken_decoders",
            "Decoders that ended before they had said how their recording went.",
            ["cause"],
            registry=registry,
        )

    def ended_early(self, cause: Cause) -> None:
        self._ended_early.labels(cause).inc()
