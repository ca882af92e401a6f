"""From what was known of a recording's turns to what is known now, in the contract's words: only what changed. Pure.

Turns are compared by where they start: both lists' turns of one start are sent together, or not at all.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from diarization_service.turns import Diarization, Known, Turn
from serving.times import samples_to_duration
from speech.audio.v1.audio_pb2 import TimeSpan
from speech.diarization.v1 import diarization_pb2
from speech.diarization.v1.diarization_pb2 import DiarizationCompleted, SpeakerVoice, TurnsUpdate

# Keeps one update near 0.5 MB where gRPC clients take 4 MiB by default.
MOST_STARTS = 5_000
# So many unchanged starts in a row are sent again rather than told around, which takes a message.
_BRIDGED_STARTS = 4

_Heard = tuple[list[Turn], list[Turn]]


@dataclass(frozen=True)
class _Change:
    """All that changed from sample `start` on and before `end`; None: to the end of all turns, old and new."""

    start: int
    end: int | None


def patches(before: Known, after: Known, most_starts: int = MOST_STARTS) -> Iterator[TurnsUpdate]:
    """Updates that, applied in order to `before`, give `after`; none where nothing is new.

    Horizons must not go back.
    """
    changes = list(_changes(before, after, most_starts))
    if not changes and before != after:
        changes = [_Change(before.horizon, before.horizon)]
    reached = [*(change.start for change in changes[1:]), after.horizon]
    for change, end in zip(changes, reached, strict=False):
        yield _message(
            after,
            change,
            horizon=max(before.horizon, min(end, after.horizon)),
            final_horizon=max(before.final_horizon, min(end, after.final_horizon)),
        )


def completed(found: Diarization, *, with_embeddings: bool = False) -> DiarizationCompleted:
    """The totals; timing and the model's fingerprint are the caller's to add."""
    return DiarizationCompleted(
        speakers=found.speakers,
        turns=len(found.turns),
        speech_duration=samples_to_duration(found.speech_samples),
        voices=[
            SpeakerVoice(
                label=speaker,
                speech_duration=samples_to_duration(found.samples_of(speaker)),
                embedding=found.embeddings.get(speaker, ()) if with_embeddings else (),
            )
            for speaker in found.speakers
        ],
        overlaps=[_span(start, end) for start, end in found.overlaps],
    )


def _changes(before: Known, after: Known, most_starts: int) -> Iterator[_Change]:
    """In order of time, apart from each other, each with something changed at its first and last start."""
    since = min(
        _first_difference(before.turns, after.turns), _first_difference(before.exclusive, after.exclusive)
    )
    old, new = _by_start(before, since), _by_start(after, since)
    starts = sorted(old.keys() | new.keys())
    changed = [index for index, start in enumerate(starts) if old.get(start) != new.get(start)]
    for first, last in _runs(changed, most_starts):
        yield _Change(starts[first], None if last == len(starts) - 1 else starts[last] + 1)


def _runs(changed: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """First and last index of each stretch of at most `most` indices in which little is unchanged."""
    if not changed:
        return
    first = last = changed[0]
    for index in changed[1:]:
        if index - last > _BRIDGED_STARTS + 1 or index - first >= most:
            yield first, last
            first = index
        last = index
    yield first, last


def _first_difference(before: Sequence[Turn], after: Sequence[Turn]) -> float:
    """The earliest start of a turn that one of them alone has; both in order of start."""
    for old, new in zip(before, after, strict=False):
        # What did not change mostly is the same object.
        if old is not new and old != new:
            return min(old.start, new.start)
    rest = before[len(after) :] or after[len(before) :]
    return rest[0].start if rest else float("inf")


def _by_start(known: Known, since: float) -> dict[int, _Heard]:
    """Turns and exclusive turns of each start from `since` on."""
    heard: dict[int, _Heard] = {}
    for place, turns in enumerate((known.turns, known.exclusive)):
        for turn in turns[bisect_left(turns, since, key=_start) :]:
            heard.setdefault(turn.start, ([], []))[place].append(turn)
    return heard


def _message(after: Known, change: _Change, *, horizon: int, final_horizon: int) -> TurnsUpdate:
    update = TurnsUpdate(
        turns=_messages(after.turns, change),
        exclusive_turns=_messages(after.exclusive, change),
        horizon=samples_to_duration(horizon),
        final_horizon=samples_to_duration(final_horizon),
        until=None if change.end is None else samples_to_duration(change.end),
    )
    # `from` is a keyword in Python, so the field goes by its name as a string.
    getattr(update, "from").CopyFrom(samples_to_duration(change.start))
    return update


def _messages(turns: Sequence[Turn], change: _Change) -> Iterator[diarization_pb2.Turn]:
    first = bisect_left(turns, change.start, key=_start)
    last = len(turns) if change.end is None else bisect_left(turns, change.end, key=_start)
    for turn in turns[first:last]:
        yield diarization_pb2.Turn(
            span=_span(turn.start, turn.end), speaker=turn.speaker, confidence=turn.confidence
        )


def _span(start: int, end: int) -> TimeSpan:
    return TimeSpan(start=samples_to_duration(start), end=samples_to_duration(end))


def _start(turn: Turn) -> int:
    return turn.start
