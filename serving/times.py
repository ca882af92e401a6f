"""Time on the wire is a protobuf Duration, in code float seconds, and samples where exactness matters."""

from google.protobuf.duration_pb2 import Duration

# Samples a second of all audio behind the decoder.
SAMPLE_RATE = 16_000

_NANOSECONDS = 1_000_000_000
_NANOSECONDS_A_SAMPLE = _NANOSECONDS // SAMPLE_RATE


def duration(seconds: float) -> Duration:
    """Round to the nanosecond, so that n / SAMPLE_RATE gives exactly samples_to_duration(n) for up to 24 hours.

    Raises ValueError for NaN, OverflowError for infinity.
    """
    return _from_nanoseconds(round(seconds * _NANOSECONDS))


def seconds(duration: Duration) -> float:
    """The nearest float: samples_to_duration(n) gives exactly n / SAMPLE_RATE."""
    return (duration.seconds * _NANOSECONDS + duration.nanos) / _NANOSECONDS


def samples_to_duration(samples: int) -> Duration:
    """Exact: a sample at 16 kHz lasts 62,500 ns."""
    return _from_nanoseconds(samples * _NANOSECONDS_A_SAMPLE)


def _from_nanoseconds(nanoseconds: int) -> Duration:
    result = Duration()
    result.FromNanoseconds(nanoseconds)
    return result
