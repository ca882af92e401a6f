"""What a service is scaled by, read at the moment of asking. docs/operations.md says which figure is for what."""

from prometheus_client import CollectorRegistry, Gauge

from serving.admission import AdmissionInterceptor


def export_load(admission: AdmissionInterceptor, registry: CollectorRegistry) -> None:
    """Read from another thread than the one that serves."""
    gauges = (
        ("duoscribe_streams", "Recordings in flight.", lambda: float(admission.in_flight)),
        (
            "duoscribe_wait_seconds",
            "How long the audio that was taken in will take to compute.",
            admission.wait,
        ),
        (
            "duoscribe_load_ratio",
            "How much is taken of what the service takes, 1 being all, by the scarcer of places and time.",
            admission.utilization,
        ),
    )
    for name, meaning, value in gauges:
        Gauge(name, meaning, registry=registry).set_function(value)
