"""Which utterances may share a batch, and how long it gets. Lengths are numbers of samples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from asr_service.engines.ort.profiles import Profiles
from serving.times import SAMPLE_RATE


class Lengths(Protocol):
    def bucket(self, samples: int) -> int:
        """Utterances of equal bucket may share a batch; a smaller bucket holds shorter ones."""

    def padded(self, samples: int) -> int:
        """The most that is computed for it in a batch of its bucket."""


@dataclass(frozen=True)
class Bucketed(Lengths):
    """By the buckets of the profiles.

    A batch may be as long as its longest utterance where the model masks its padding. Where it hears it, the batch must be
    as long as its bucket: what an utterance hears behind its end is then the same in any company.
    """

    profiles: Profiles

    def bucket(self, samples: int) -> int:
        return self.profiles.bucket(samples / SAMPLE_RATE)

    def padded(self, samples: int) -> int:
        return max(samples, round(self.profiles.ceiling(samples / SAMPLE_RATE) * SAMPLE_RATE))


@dataclass(frozen=True)
class Equal(Lengths):
    """Nothing is padded, so that only equal numbers of feature frames share a batch."""

    frames: Callable[[int], int]
    """Of so many samples."""

    def bucket(self, samples: int) -> int:
        return self.frames(samples)

    def padded(self, samples: int) -> int:
        return samples
