"""Tracks to turns: the grid, the order, the names, the totals, and updates that add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarization_service.turns import Diarization, Turn, completed, diarization, updates
from serving.times import SAMPLE_RATE, samples_to_duration, seconds
from speech.diarization.v1.diarization_pb2 import TurnsUpdate

SAMPLES = 10 * SAMPLE_RATE
TIMES = st.floats(-1, 11, allow_nan=False)
LABELS = st.integers(0, 4)


@st.composite
def tracks(draw: st.DrawFn) -> list[tuple[float, float, int]]:
    """Anything the clustering may give: overlaps, empty spans, spans over the recording's ends."""
    spans = draw(st.lists(st.tuples(TIMES, st.floats(0, 3), LABELS), max_size=30))
    return [(start, start + length, label) for start, length, label in spans]


@st.composite
def exclusive_tracks(draw: st.DrawFn) -> list[tuple[float, float, int]]:
    """Spans that do not overlap, in any order."""
    bounds = sorted(draw(st.lists(TIMES, max_size=30)))
    spans = [(start, end, draw(LABELS)) for start, end in zip(bounds[::2], bounds[1::2], strict=False)]
    return draw(st.permutations(spans))


diarizations = st.builds(diarization, tracks(), exclusive_tracks(), st.just(SAMPLES))


@given(diarizations)
def test_turns_are_in_order_and_inside_the_recording(found: Diarization) -> None:
    for turns in (found.turns, found.exclusive):
        assert [turn.start for turn in turns] == sorted(turn.start for turn in turns)
        assert all(0 <= turn.start < turn.end <= SAMPLES for turn in turns)


@given(diarizations)
def test_exclusive_turns_do_not_overlap(found: Diarization) -> None:
    for earlier, later in zip(found.exclusive, found.exclusive[1:], strict=False):
        assert earlier.end <= later.start


@given(diarizations)
def test_labels_count_speakers_by_first_appearance(found: Diarization) -> None:
    heard = list(dict.fromkeys(turn.speaker for turn in [*found.turns, *found.exclusive]))
    assert heard == list(found.speakers)
    assert heard == [f"SPEAKER_{index:02d}" for index in range(len(heard))]


@given(tracks(), exclusive_tracks(), st.permutations(range(5)))
def test_the_clusterings_own_names_do_not_matter(
    some: list[tuple[float, float, int]], exclusive: list[tuple[float, float, int]], names: list[int]
) -> None:
    def renamed(held: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
        return [(start, end, names[label]) for start, end, label in held]

    assert diarization(some, exclusive, SAMPLES) == diarization(renamed(some), renamed(exclusive), SAMPLES)


@given(tracks())
def test_one_label_is_one_speaker_in_both_lists(some: list[tuple[float, float, int]]) -> None:
    found = diarization(some, some, SAMPLES)
    assert found.turns == found.exclusive


@given(diarizations)
def test_speech_is_the_number_of_samples_in_which_somebody_speaks(found: Diarization) -> None:
    spoken = set[int]()
    # On a coarser grid than the sample's, for speed.
    coarse = Diarization(
        tuple(Turn(turn.start // 500, turn.end // 500, turn.speaker) for turn in found.turns), (), (), 0
    )
    for turn in coarse.turns:
        spoken.update(range(turn.start, turn.end))
    assert coarse.speech_samples == len(spoken)


@given(diarizations, st.integers(1, 5))
def test_updates_applied_in_order_give_the_turns(found: Diarization, turns_per_update: int) -> None:
    turns: list[Turn] = []
    exclusive: list[Turn] = []
    horizon = 0
    for update in updates(found, turns_per_update):
        start = samples(getattr(update, "from"))
        assert start <= horizon, "nobody was told of what lies between"
        turns = [turn for turn in turns if turn.start < start] + read(update.turns)
        exclusive = [turn for turn in exclusive if turn.start < start] + read(update.exclusive_turns)
        horizon = samples(update.horizon)
        assert all(turn.start < horizon for turn in [*turns, *exclusive])
        assert update.final_horizon == update.horizon
    assert (turns, exclusive, horizon) == (list(found.turns), list(found.exclusive), SAMPLES)


def test_times_are_rounded_to_the_sample() -> None:
    (turn,) = diarization([(0.4 / SAMPLE_RATE, 1.6 / SAMPLE_RATE, "x")], [], SAMPLES).turns
    assert (turn.start, turn.end) == (0, 2)


def test_what_is_shorter_than_a_sample_or_outside_is_dropped() -> None:
    none = diarization(
        [(1.0, 1.0 + 0.4 / SAMPLE_RATE, "x"), (10.0, 11.0, "y"), (-1.0, 0.0, "z")], [], SAMPLES
    )
    assert none == Diarization((), (), (), SAMPLES)


@pytest.mark.parametrize("length", [0, SAMPLES])
def test_silence_is_said_too(length: int) -> None:
    (update,) = updates(diarization([], [], length))
    expected = TurnsUpdate(horizon=samples_to_duration(length), final_horizon=samples_to_duration(length))
    getattr(expected, "from").SetInParent()
    assert update == expected


def test_totals() -> None:
    found = diarization([(1, 3, "a"), (2, 4, "b"), (6, 7, "a")], [(1, 2, "a")], SAMPLES)
    total = completed(found)
    assert (list(total.speakers), total.turns) == (["SPEAKER_00", "SPEAKER_01"], 3)
    assert seconds(total.speech_duration) == 4


def samples(time: object) -> int:
    return round(seconds(time) * SAMPLE_RATE)  # type: ignore[arg-type]


def read(messages: object) -> list[Turn]:
    return [
        Turn(samples(turn.span.start), samples(turn.span.end), turn.speaker)
        for turn in messages  # type: ignore[attr-defined]
    ]
