"""What callers may know about the number of speakers."""

from collections.abc import Iterator

from serving.errors import InvalidConfig
from speech.diarization.v1 import diarization_pb2

_MOST_SPEAKERS = 100


def check_speaker_hints(hints: diarization_pb2.SpeakerHints) -> None:
    """Raises InvalidConfig for numbers that cannot be, and for hints that contradict each other."""
    given = dict(_given(hints))
    for name, number in given.items():
        if not 1 <= number <= _MOST_SPEAKERS:
            raise _invalid(name, f"{name} must be from 1 to {_MOST_SPEAKERS}, and {number} was given")
    if "exact" in given and len(given) > 1:
        name = next(name for name in given if name != "exact")
        raise _invalid(name, f"exact and {name} exclude each other; give one of them")
    if given.get("minimum", 0) > given.get("maximum", _MOST_SPEAKERS):
        raise _invalid(
            "minimum", f"minimum ({given['minimum']}) is more than maximum ({given['maximum']}); swap them"
        )


def _given(hints: diarization_pb2.SpeakerHints) -> Iterator[tuple[str, int]]:
    if hints.HasField("exact"):
        yield "exact", hints.exact
    if hints.HasField("minimum"):
        yield "minimum", hints.minimum
    if hints.HasField("maximum"):
        yield "maximum", hints.maximum


def _invalid(name: str, message: str) -> InvalidConfig:
    return InvalidConfig(message, field=f"config.speakers.{name}")
