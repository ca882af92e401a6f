"""Values on the command line that have a notation of their own."""

import re
from dataclasses import dataclass
from typing import Any

import click

MAX_SPEAKERS = 100

_SPEAKERS = re.compile(r"(?P<exact>\d+)|(?P<minimum>\d*)-(?P<maximum>\d*)")

_RAW = re.compile(r"(?P<encoding>s16le|f32le)(:(?P<rate>[1-9]\d{0,6})(:(?P<channels>[1-9]\d?))?)?")


@dataclass(frozen=True, slots=True)
class Speakers:
    """How many people speak: an exact number, or one bound or both."""

    exact: int | None = None
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class RawAudio:
    """How samples without a header are stored: `encoding` is "s16le" or "f32le"."""

    encoding: str
    sample_rate_hz: int
    channels: int


class SpeakersType(click.ParamType[Speakers]):
    """N, MIN-MAX, MIN- or -MAX."""

    name = "N|MIN-MAX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Speakers:
        if isinstance(value, Speakers):
            return value
        found = _SPEAKERS.fullmatch(value)
        if found is None or value == "-":
            self.fail(f"{value!r} is neither a number like 2 nor a range like 2-4, 2- or -4", param, ctx)
        speakers = Speakers(
            **{name: int(digits) if digits else None for name, digits in found.groupdict().items()}
        )
        given = [count for count in (speakers.exact, speakers.minimum, speakers.maximum) if count is not None]
        if not all(1 <= count <= MAX_SPEAKERS for count in given):
            self.fail(f"the number of speakers must be from 1 to {MAX_SPEAKERS}", param, ctx)
        if given != sorted(given):
            self.fail(f"in {value!r} the minimum is larger than the maximum", param, ctx)
        return speakers


class RawAudioType(click.ParamType[RawAudio]):
    """ENCODING:RATE:CHANNELS; the last two may be left out."""

    name = "ENCODING[:RATE[:CHANNELS]]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> RawAudio:
        if isinstance(value, RawAudio):
            return value
        found = _RAW.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not like s16le:16000:1 or f32le:48000:2", param, ctx)
        return RawAudio(found["encoding"], int(found["rate"] or 16_000), int(found["channels"] or 1))
