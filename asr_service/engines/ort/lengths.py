"""What utterances are padded to, and which may therefore share a batch. Lengths are numbers of samples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from asr_service.engines.ort.profiles import Profiles
from serving.times import SAMPLE_RATE


class Lengths(Protocol):
    """Where padding is heard, utterances of one bucket are made equally long before anything is computed."""

    def bucket(self, samples: int) -> int:
        """Utterances of equal bucket may share a batch; a smaller bucket holds shorter ones."""

    def extended(self, samples: int) -> int:
        """With the silence that is put behind it."""

    def padded(self, samples: int) -> int:
        """The most that is computed for it in a batch of its bucket."""


@dataclass(frozen=True)
class Bucketed(Lengths):
    """By the buckets of the profiles: whatever its neighbours, an utterance is computed as if as long as its bucket."""

    profiles: Profiles
    silence: bool
    """Whether the difference is silence, which the model hears, instead of padding, which it masks."""

    def bucket(self, samples: int) -> int:
        return self.profiles.bucket(samples / SAMPLE_RATE)

    def extended(self, samples: int) -> int:
        return self.padded(samples) if self.silence else samples

    def padded(self, samples: int) -> int:
        return max(samples, round(self.profiles.ceiling(samples / SAMPLE_RATE) * SAMPLE_RATE))


@dataclass(frozen=True)
class Equal(Lengths):
    """For models that hear their padding: nothing is added, so that only equal numbers of frames share a batch."""

    frames: Callable[[int], int]
    """Feature frames of so many samples."""

    def bucket(self, samples: int) -> int:
        return self.frames(samples)

    def extended(self, samples: int) -> int:
        return samples

    def padded(self, samples: int) -> int:
        return samples
