"""What a caller of diarization knows: updates applied as the contract says."""

from collections.abc import Iterable

from diarization_service.turns import Known, Turn
from serving.times import SAMPLE_RATE, seconds
from speech.diarization.v1 import diarization_pb2
from speech.diarization.v1.diarization_pb2 import DiarizeResponse, TurnsUpdate


class Applied:
    """Turns by the updates taken so far."""

    def __init__(self) -> None:
        self.known = Known()

    def take_any(self, response: DiarizeResponse) -> None:
        """Of the service's; others than updates say nothing of turns."""
        if response.HasField("turns"):
            self.take(response.turns)

    def take(self, update: TurnsUpdate) -> None:
        start = samples(getattr(update, "from"))
        end = samples(update.until) if update.HasField("until") else None
        self.known = Known(
            turns=_patched(self.known.turns, start, end, update.turns),
            exclusive=_patched(self.known.exclusive, start, end, update.exclusive_turns),
            horizon=samples(update.horizon),
            final_horizon=samples(update.final_horizon),
        )


def samples(time: object) -> int:
    return round(seconds(time) * SAMPLE_RATE)  # type: ignore[arg-type]


def _patched(
    held: Iterable[Turn], start: int, end: int | None, messages: Iterable[diarization_pb2.Turn]
) -> tuple[Turn, ...]:
    added = [_turn(message) for message in messages]
    if not all(start <= turn.start and (end is None or turn.start < end) for turn in added):
        raise ValueError("a turn starts outside of what the update replaces")
    kept = [turn for turn in held if turn.start < start or (end is not None and turn.start >= end)]
    return tuple(sorted([*kept, *added], key=lambda turn: turn.start))


def _turn(message: diarization_pb2.Turn) -> Turn:
    return Turn(
        samples(message.span.start),
        samples(message.span.end),
        message.speaker,
        message.confidence if message.HasField("confidence") else None,
    )
