"""Recordings for merge's tests: words and turns, and ways in which the two stages may report them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from hypothesis import strategies as st

from gateway.merge import FOREVER, SECOND, Merger, Segment, Turn, TurnsPatch, Word

# Times are multiples of it, so that edges often meet exactly.
TICK = SECOND // 20

Step = Callable[[Merger], list[Segment]]


@dataclass(frozen=True)
class Recording:
    """Everything that is true of a recording; `words` come in the order in which recognition reports them."""

    words: tuple[Word, ...]
    turns: tuple[Turn, ...]
    exclusive: tuple[Turn, ...]

    def renamed(self, names: dict[str, str]) -> "Recording":
        def rename(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
            return tuple(replace(turn, speaker=names[turn.speaker]) for turn in turns)

        return Recording(self.words, rename(self.turns), rename(self.exclusive))


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    return Recording(draw(_words()), draw(_turns()), draw(_exclusive_turns()))


@st.composite
def _words(draw: st.DrawFn) -> tuple[Word, ...]:
    words, time = [], 0
    steps = st.tuples(
        st.sampled_from([-2, 0, 0, 0, 1, 3, 8, 19, 20, 21, 45]),
        st.integers(0, 14),
        st.sampled_from(["", "", "."]),
    )
    for number, (pause, length, stop) in enumerate(draw(st.lists(steps, max_size=30))):
        time = max(0, time + pause)
        words.append(Word(f"w{number}{stop}", time * TICK, (time + length) * TICK))
        time += length
    return tuple(_slightly_out_of_order(draw, words))


def _slightly_out_of_order(draw: st.DrawFn, words: list[Word]) -> list[Word]:
    for index in draw(st.lists(st.integers(0, max(0, len(words) - 2)), max_size=5)):
        words[index : index + 2] = reversed(words[index : index + 2])
    return words


@st.composite
def _exclusive_turns(draw: st.DrawFn) -> tuple[Turn, ...]:
    turns, time = [], 0
    steps = st.tuples(
        st.sampled_from([0, 0, 0, 1, 5, 9, 10, 11, 30]),
        st.sampled_from([1, 2, 4, 5, 6, 12, 30, 90]),
        st.sampled_from("ABC"),
    )
    for pause, length, speaker in draw(st.lists(steps, max_size=16)):
        time += pause
        turns.append(Turn(time * TICK, (time + length) * TICK, speaker))
        time += length
    return tuple(turns)


@st.composite
def _turns(draw: st.DrawFn) -> tuple[Turn, ...]:
    spans = st.tuples(st.integers(0, 200), st.integers(1, 60), st.sampled_from("ABC"))
    turns = [
        Turn(start * TICK, (start + length) * TICK, speaker)
        for start, length, speaker in draw(st.lists(spans))
    ]
    return tuple(sorted(turns, key=lambda turn: turn.start))


@st.composite
def recognition_steps(draw: st.DrawFn, recording: Recording) -> list[Step]:
    """Utterances, each followed by how far recognition has come, then the end."""
    steps: list[Step] = []
    rest = list(recording.words)
    while rest:
        size = draw(st.integers(1, 6))
        utterance, rest = rest[:size], rest[size:]
        steps.append(partial(_add_words, words=tuple(utterance)))
        if draw(st.booleans()):
            heard = min((word.start for word in rest), default=FOREVER - 1)
            steps.append(partial(_heard_until, time=max(0, heard - draw(st.integers(0, 5)) * TICK)))
    return [*steps, Merger.end_words]


@st.composite
def diarization_steps(draw: st.DrawFn, recording: Recording, *, failing: bool = False) -> list[Step]:
    """Patches that guess beyond what is final, then the end; a failing stage stops after any of them."""
    steps: list[Step] = []
    final = 0
    for ahead in draw(st.lists(st.integers(0, 60), max_size=4)):
        known = final + ahead * TICK
        settled = final + draw(st.integers(0, ahead)) * TICK
        steps.append(partial(_patch, patch=_known(recording, final, settled, known, draw(st.booleans()))))
        final = settled
    if failing:
        return [*steps, partial(_end_turns, failed=True)]
    whole = TurnsPatch(0, recording.turns, recording.exclusive, FOREVER, FOREVER)
    return [*steps, partial(_patch, patch=whole), partial(_end_turns, failed=False)]


def _known(recording: Recording, since: int, final: int, known: int, wrong: bool) -> TurnsPatch:
    """What is known at `known`; labels of turns that start after `final` may be wrong, and turns may still grow."""

    def seen(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        heard = [replace(turn, end=min(turn.end, known)) for turn in turns if since <= turn.start < known]
        return tuple(replace(turn, speaker="X") if wrong and turn.start >= final else turn for turn in heard)

    every = (*recording.turns, *recording.exclusive)
    # Turns that were cut off at the last horizon are told again.
    since = min([since, *(turn.start for turn in every if turn.start < since <= turn.end)])
    return TurnsPatch(since, seen(recording.turns), seen(recording.exclusive), known, final)


@st.composite
def interleaved(draw: st.DrawFn, first: list[Step], second: list[Step]) -> list[Step]:
    takes_first = draw(st.permutations([True] * len(first) + [False] * len(second)))
    left, right = iter(first), iter(second)
    return [next(left) if take else next(right) for take in takes_first]


def _add_words(merger: Merger, words: tuple[Word, ...]) -> list[Segment]:
    return merger.add_words(words)


def _heard_until(merger: Merger, time: int) -> list[Segment]:
    return merger.heard_until(time)


def _patch(merger: Merger, patch: TurnsPatch) -> list[Segment]:
    return merger.patch_turns(patch)


def _end_turns(merger: Merger, failed: bool) -> list[Segment]:
    return merger.end_turns(failed=failed)
