"""How long a recording may be."""

from serving.errors import RecordingTooLong


def check_length(seconds: float, max_seconds: float, *, field: str = "audio") -> None:
    """Raises RecordingTooLong, which names `field`."""
    if seconds > max_seconds:
        raise RecordingTooLong(
            f"the recording is longer than the {max_seconds:g} s that this service takes; send it in parts",
            field=field,
        )
