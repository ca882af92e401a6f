"""The windows of a recording as its audio arrives, and the audio itself for as long as a window needs it.

Windows lie as in pyannote.audio's `Inference.slide`: full ones at the step, and where they leave audio over, one more that
is filled up with zeros. A recording shorter than a window is one such window.
"""

from collections.abc import Iterator

import numpy as np

from diarization_service.stages import Geometry, Samples

_FULL_SCALE = 32_768
_SAMPLE_BYTES = 2

# The first block of fast mode ends early enough for labels within 15 s of audio; each later one may be twice as long.
_FIRST_BLOCK = 4


def full_windows(samples: int, geometry: Geometry) -> int:
    """Windows that lie within the first `samples` samples of a recording."""
    return max(0, 1 + (samples - geometry.window) // geometry.step)


def all_windows(samples: int, geometry: Geometry) -> int:
    """Windows of a whole recording of `samples` samples; none of an empty one."""
    full = full_windows(samples, geometry)
    reached = geometry.window + (full - 1) * geometry.step if full else 0
    return full + (samples > reached)


def blocks(most: int) -> Iterator[range]:
    """Windows of each block of at most `most` windows, without end.

    They lie the same whatever the recording, so embeddings do not depend on how audio arrives.
    """
    start, size = 0, min(_FIRST_BLOCK, most)
    while True:
        yield range(start, start + size)
        start, size = start + size, min(2 * size, most)


class Audio:
    """16-bit samples, of which the oldest can be dropped."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._dropped = 0

    def append(self, pcm: bytes) -> None:
        """Any number of bytes; samples are little-endian."""
        self._bytes += pcm

    @property
    def samples(self) -> int:
        """Received so far, dropped ones included."""
        return self._dropped + self.held

    @property
    def held(self) -> int:
        """Samples in memory."""
        return len(self._bytes) // _SAMPLE_BYTES

    def drop(self, before: int) -> None:
        """Forget what lies before sample `before`."""
        count = min(before - self._dropped, self.held)
        if count > 0:
            del self._bytes[: count * _SAMPLE_BYTES]
            self._dropped += count

    def read(self, start: int, length: int) -> Samples:
        """Samples from `start` on in [-1, 1), with zeros behind what was received. They must not be dropped yet."""
        offset = start - self._dropped
        count = max(0, min(length, self.held - offset))
        samples = np.zeros(length, np.float32)
        if count:
            pcm = np.frombuffer(self._bytes, "<i2", count, offset * _SAMPLE_BYTES)
            np.divide(pcm, _FULL_SCALE, out=samples[:count], dtype=np.float32)
        return samples
