"""What callers may know about the number of speakers."""

from dataclasses import dataclass

from serving.errors import InvalidConfig
from speech.diarization.v1.diarization_pb2 import SpeakerHints

MOST_SPEAKERS = 100


@dataclass(frozen=True)
class SpeakerBounds:
    """The fewest and the most people that may be found; equal bounds fix their number, None leaves a side open."""

    minimum: int | None = None
    maximum: int | None = None


def speaker_bounds(hints: SpeakerHints) -> SpeakerBounds:
    """Raises InvalidConfig, naming the field, for hints that are out of range or contradict each other."""
    exact, minimum, maximum = (_checked(hints, field) for field in ("exact", "minimum", "maximum"))
    if exact is None:
        if minimum is not None and maximum is not None and minimum > maximum:
            raise InvalidConfig(
                f"minimum ({minimum}) is more than maximum ({maximum}); swap them or leave one out",
                field="config.speakers.minimum",
            )
        return SpeakerBounds(minimum, maximum)
    for field, value in (("minimum", minimum), ("maximum", maximum)):
        if value is not None:
            raise InvalidConfig(
                f"exact and {field} exclude each other; give one of them",
                field=f"config.speakers.{field}",
            )
    return SpeakerBounds(exact, exact)


def _checked(hints: SpeakerHints, field: str) -> int | None:
    if not hints.HasField(field):  # type: ignore[arg-type]  # one of the three names above
        return None
    value: int = getattr(hints, field)
    if not 1 <= value <= MOST_SPEAKERS:
        raise InvalidConfig(
            f"{field} must be from 1 to {MOST_SPEAKERS}, and {value} was given",
            field=f"config.speakers.{field}",
        )
    return value
