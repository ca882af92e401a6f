"""Tracks to turns: the grid, the order, the names, and what several turns add up to."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from diarization_service.turns import Diarization, Turn, diarization
from serving.times import SAMPLE_RATE

SAMPLES = 10 * SAMPLE_RATE
# Where every sample would take too long to look at.
COARSE = 1_600
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


def test_times_are_rounded_to_the_sample() -> None:
    (turn,) = diarization([(0.4 / SAMPLE_RATE, 1.6 / SAMPLE_RATE, "x")], [], SAMPLES).turns
    assert (turn.start, turn.end) == (0, 2)


def test_what_is_shorter_than_a_sample_or_outside_is_dropped() -> None:
    none = diarization(
        [(1.0, 1.0 + 0.4 / SAMPLE_RATE, "x"), (10.0, 11.0, "y"), (-1.0, 0.0, "z")], [], SAMPLES
    )
    assert none == Diarization((), (), (), SAMPLES)


@given(diarizations)
def test_overlaps_are_where_several_speak(found: Diarization) -> None:
    assert marked(found.overlaps) == {
        place
        for place in range(SAMPLES // COARSE)
        if sum(turn.start <= place * COARSE < turn.end for turn in found.turns) > 1
    }
    for earlier, later in zip(found.overlaps, found.overlaps[1:], strict=False):
        assert earlier[1] < later[0]


@given(diarizations)
def test_speech_of_all_is_that_of_each(found: Diarization) -> None:
    total = sum(turn.end - turn.start for turn in found.turns)
    assert sum(found.samples_of(speaker) for speaker in found.speakers) == total


def marked(spans: Iterable[tuple[int, int]]) -> set[int]:
    """Every `COARSE`th sample within the spans."""
    return {place for start, end in spans for place in range(-(-start // COARSE), -(-end // COARSE))}
