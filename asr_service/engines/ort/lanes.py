"""Which session computes a batch: one a profile with TensorRT, one for all elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass

from asr_service.engines.ort.profiles import Profile, Profiles
from asr_service.engines.ort.runtime import Session
from serving.times import SAMPLE_RATE


@dataclass(frozen=True)
class Lane:
    session: Session
    least_rows: int
    """Batches of fewer rows are filled up to it."""


@dataclass(frozen=True)
class Lanes:
    profiles: Profiles
    sessions: Mapping[Profile, Session]

    @classmethod
    def one(cls, profiles: Profiles, session: Session) -> "Lanes":
        """One session that takes all shapes; the profiles say only how large batches may get."""
        return cls(profiles, dict.fromkeys(profiles.all, session))

    def split(self, rows: int, samples: int) -> list[int]:
        """Sizes of the parts of a batch, each of which a lane takes. Raises OutsideProfiles."""
        return self.profiles.split(rows, samples / SAMPLE_RATE)

    def lane(self, rows: int, samples: int) -> Lane:
        """The smallest that takes such a part. Raises OutsideProfiles."""
        profile = self.profiles.choose(rows, samples / SAMPLE_RATE)
        return Lane(self.sessions[profile], profile.rows.min)
