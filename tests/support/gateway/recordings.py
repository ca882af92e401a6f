"""Recordings for merge's tests: words and turns, and ways in which the two stages may report them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from hypothesis import strategies as st

from gateway.merge import FOREVER, SECOND, Merger, Segment, Span, Turn, TurnsPatch, Word

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
def diarization_steps(
    draw: st.DrawFn, recording: Recording, *, failing: bool = False, min_patches: int = 0
) -> list[Step]:
    """Patches that guess beyond what is final, then the end; a failing stage stops after any of them."""
    steps: list[Step] = [
        partial(_patch, patch=patch) for patch in draw(_early_patches(recording, min_patches))
    ]
    if failing:
        return [*steps, partial(_end_turns, failed=True)]
    whole = TurnsPatch(0, recording.turns, recording.exclusive, FOREVER, FOREVER)
    return [*steps, partial(_patch, patch=whole), partial(_end_turns, failed=False)]


@st.composite
def _early_patches(draw: st.DrawFn, recording: Recording, min_size: int) -> list[TurnsPatch]:
    """More turns, some of them for good; or other labels within what is known; or what is true of its beginning."""
    patches: list[TurnsPatch] = []
    final = known = 0
    for kind in draw(st.lists(st.sampled_from(_KINDS), min_size=min_size, max_size=min_size + 6)):
        told = draw(st.sampled_from(_LABELLINGS))
        if kind == "further":
            known = max(final, known + draw(st.integers(-10, 60)) * TICK)
            settled = draw(st.just(final) | _within(final, known))
            patches.append(_known(recording, Span(final, FOREVER), settled, known, told))
            final = settled
        elif kind == "relabel":
            first, last = sorted(draw(st.tuples(_within(final, known), _within(final, known))))
            patches.append(_known(recording, Span(first, last), final, known, told))
        else:
            settled = draw(_within(final, known))
            patches.append(_known(recording, Span(final, settled), settled, known, told))
            final = settled
    return patches


def _within(start: int, end: int) -> st.SearchStrategy[int]:
    return st.integers(0, (end - start) // TICK).map(lambda ticks: start + ticks * TICK)


_KINDS = ("further", "relabel", "settle")

# How early turns may be wrong about names.
_LABELLINGS: list[dict[str, str]] = [{}, {"A": "B", "B": "A"}, {"A": "X", "B": "X", "C": "X"}, {"C": "A"}]


def _known(recording: Recording, span: Span, final: int, known: int, labelling: dict[str, str]) -> TurnsPatch:
    """What is known at `known` of the turns that start within `span`, which may still grow.

    Those that start after `final` are labelled as it was understood so far.
    """
    every = (*recording.turns, *recording.exclusive)
    # Turns that were cut off at the last horizon are told again.
    since = min([span.start, *(turn.start for turn in every if turn.start < span.start <= turn.end)])

    def seen(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        until = min(span.end, known)
        heard = [replace(turn, end=min(turn.end, known)) for turn in turns if since <= turn.start < until]
        return tuple(
            replace(turn, speaker=labelling.get(turn.speaker, turn.speaker)) if turn.start >= final else turn
            for turn in heard
        )

    return TurnsPatch(since, seen(recording.turns), seen(recording.exclusive), known, final, span.end)


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
