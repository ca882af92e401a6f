"""How much sound may come out of how many bytes."""

from collections.abc import Callable

from serving.errors import InvalidAudio
from serving.times import SAMPLE_RATE

_BYTES_PER_SECOND = 2 * SAMPLE_RATE
# Of any upload, however small: a minute's silence fits into a header.
_FREE_SECONDS = 60.0


class Expansion:
    """Counts what comes out; `bytes_read` tells what went in."""

    def __init__(self, max_ratio: float, bytes_read: Callable[[], int]) -> None:
        self._max_ratio = max_ratio
        self._bytes_read = bytes_read

    def check(self, seconds: float) -> None:
        """`seconds` of sound have come out so far. Raises InvalidAudio."""
        decoded = (seconds - _FREE_SECONDS) * _BYTES_PER_SECOND
        if decoded > self._max_ratio * self._bytes_read():
            raise InvalidAudio(
                f"the recording holds more than {self._max_ratio:,.0f} times as much sound as an upload of its size may, "
                "most of it silence; send it as WAV, or without the silence"
            )
