"""Engine profiles: the batches that TensorRT engines are built for. Pure.

    4:16:64x0.5:5:10      batches of 4 to 64 utterances, fastest at 16, of 0.5 to 10 s, fastest at 5 s

One engine a profile. A batch goes to the smallest profile that admits it, is split where no profile has so many
rows, and is refused where none has such a length: no engine is ever built for a batch that came.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil
from typing import Generic, TypeVar

from asr_service.engines.base import Family

SYNTAX = (
    "ROWSxSECONDS, each MAX, OPT:MAX or MIN:OPT:MAX: the least, the usual (tuned for) and the most. 32x30 takes up to 32 "
    "utterances of up to 30 s; 1:8:32x0.5:10:30 the same, tuned for 8 utterances of 10 s."
)
DEFAULT_MIN_SECONDS = 0.5

_Number = TypeVar("_Number", int, float)
# Lengths of one bucket differ by a fifth or by half a second, whichever is more: at most that is padding.
_BUCKET_RATIO = 1.2
_BUCKET_STEP = 0.5
# Seconds are counts of samples divided by their rate; rounding must not push one out of its profile.
_SLACK = 1e-6


class OutsideProfiles(ValueError):  # noqa: N818 - named after what happened
    """No profile admits an utterance of this length."""


@dataclass(frozen=True)
class Range(Generic[_Number]):
    min: _Number
    opt: _Number
    max: _Number

    def __post_init__(self) -> None:
        if not 0 < self.min <= self.opt <= self.max:
            raise ValueError(f"{self} must rise from above 0: MIN:OPT:MAX")

    def __str__(self) -> str:
        return f"{self.min:g}:{self.opt:g}:{self.max:g}"


@dataclass(frozen=True)
class Profile:
    """Batches of so many rows and seconds."""

    rows: Range[int]
    seconds: Range[float]

    @property
    def size(self) -> float:
        """Seconds of audio in the largest batch."""
        return self.rows.max * self.seconds.max

    def admits(self, rows: int, seconds: float) -> bool:
        """Whether such a batch fits; one that is too small is padded."""
        return rows <= self.rows.max and seconds <= self.seconds.max + _SLACK

    def __str__(self) -> str:
        """In the notation that `parse` reads."""
        return f"{self.rows}x{self.seconds}"


def parse(text: str) -> Profile:
    """Reads SYNTAX. Raises ValueError."""
    rows, separator, seconds = text.strip().removesuffix("s").partition("x")
    if not separator:
        raise ValueError(f"{text!r} is no profile: {SYNTAX}")
    try:
        return Profile(_rows(rows), _seconds(seconds))
    except ValueError as error:
        raise ValueError(f"{text!r} is no profile ({error}): {SYNTAX}") from error


def _rows(text: str) -> Range[int]:
    return Range(*_three([int(part) for part in _parts(text, r"\d+")], least=1))


def _seconds(text: str) -> Range[float]:
    numbers = [float(part) for part in _parts(text, r"\d+(\.\d*)?|\.\d+")]
    return Range(*_three(numbers, least=min(DEFAULT_MIN_SECONDS, *numbers)))


def _parts(text: str, number: str) -> list[str]:
    parts = text.split(":")
    if len(parts) > 3 or not all(re.fullmatch(number, part) for part in parts):
        raise ValueError(f"{text!r} is not like 32, 8:32 or 1:8:32")
    return parts


def _three(numbers: list[_Number], least: _Number) -> tuple[_Number, _Number, _Number]:
    match numbers:
        case [only]:
            return least, only, only
        case [opt, most]:
            return least, opt, most
        case _:
            low, opt, most = numbers
            return low, opt, most


def defaults(family: Family) -> tuple[Profile, ...]:
    """What suits utterances as voice activity cuts them: many short ones, and few that pass half a minute."""
    if family == "whisper":
        # It was trained on windows of 30 s, and is given nothing else on a GPU.
        return (Profile(Range(1, 8, 32), Range(30.0, 30.0, 30.0)),)
    return (
        Profile(Range(1, 16, 64), Range(DEFAULT_MIN_SECONDS, 5.0, 10.0)),
        Profile(Range(1, 8, 32), Range(DEFAULT_MIN_SECONDS, 20.0, 40.0)),
    )


@dataclass(frozen=True)
class Profiles:
    """All profiles of one model, at least one."""

    all: tuple[Profile, ...]

    @property
    def max_rows(self) -> int:
        return max(profile.rows.max for profile in self.all)

    @property
    def max_seconds(self) -> float:
        return max(profile.seconds.max for profile in self.all)

    @property
    def min_seconds(self) -> float:
        """What shorter utterances are padded to."""
        return min(profile.seconds.min for profile in self.all)

    def choose(self, rows: int, seconds: float) -> Profile:
        """The smallest that admits such a batch. Raises OutsideProfiles."""
        fitting = [profile for profile in self.all if profile.admits(rows, seconds)]
        if not fitting:
            raise OutsideProfiles(f"{rows} utterances of {seconds:g} s fit none of the profiles {self}")
        return min(fitting, key=lambda profile: profile.size)

    def split(self, rows: int, seconds: float) -> list[int]:
        """Sizes of the parts of a batch, as equal as can be, each of which a profile admits. Raises OutsideProfiles."""
        most = max((profile.rows.max for profile in self.all if profile.admits(1, seconds)), default=0)
        if not most:
            raise OutsideProfiles(f"an utterance of {seconds:g} s fits none of the profiles {self}")
        parts = ceil(rows / most)
        return [rows // parts + (part < rows % parts) for part in range(parts)]

    @cached_property
    def ceilings(self) -> tuple[float, ...]:
        """The longest utterance of each length bucket, in seconds. Every profile's longest is one of them."""
        longest = sorted({profile.seconds.max for profile in self.all})
        edges = [self.min_seconds]
        for low, high in pairwise([self.min_seconds, *longest]):
            edge = low
            while edge < high:
                edge = min(high, round(max(edge * _BUCKET_RATIO, edge + _BUCKET_STEP), 1))
                edges.append(edge)
        return tuple(edges)

    def bucket(self, seconds: float) -> int:
        """The length bucket of an utterance, 0 for the shortest. Raises OutsideProfiles."""
        for number, ceiling in enumerate(self.ceilings):
            if seconds <= ceiling + _SLACK:
                return number
        raise OutsideProfiles(f"an utterance of {seconds:g} s fits none of the profiles {self}")

    def ceiling(self, seconds: float) -> float:
        """The longest utterance that shares a bucket with this one. Raises OutsideProfiles."""
        return self.ceilings[self.bucket(seconds)]

    def __str__(self) -> str:
        return ", ".join(str(profile) for profile in self.all)


def parse_all(texts: Sequence[str]) -> tuple[Profile, ...]:
    """Raises ValueError."""
    return tuple(dict.fromkeys(parse(text) for text in texts))
