"""From one state of turns to the next: what is sent adds up to the new state, and nothing is sent twice without need."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from diarization_service.patches import completed, patches
from diarization_service.turns import Diarization, Known, Turn
from serving.times import SAMPLE_RATE, seconds
from speech.diarization.v1.diarization_pb2 import TurnsUpdate
from support.turns import Applied

SPEAKERS = st.sampled_from(["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"])
CONFIDENCES = st.none() | st.sampled_from([0.25, 1.0])
MINUTE = 60 * SAMPLE_RATE


def turns(starts: list[int], draw: st.DrawFn) -> tuple[Turn, ...]:
    return tuple(
        Turn(start, start + draw(st.integers(1, 5)), draw(SPEAKERS), draw(CONFIDENCES))
        for start in sorted(starts)
    )


@st.composite
def states(draw: st.DrawFn) -> list[Known]:
    """Anything that may become known, one state after the other; each keeps most of the turns before it."""
    known = Known()
    found = [known]
    for _ in range(draw(st.integers(1, 4))):
        horizon = known.horizon + draw(st.integers(0, 40))
        starts = st.lists(st.integers(0, horizon - 1), max_size=12) if horizon else st.just([])
        known = Known(
            turns=mixed(known.turns, turns(draw(starts), draw), draw),
            exclusive=mixed(known.exclusive, turns(draw(starts), draw), draw),
            horizon=horizon,
            final_horizon=draw(st.integers(known.final_horizon, horizon)),
        )
        found.append(known)
    return found


def mixed(old: tuple[Turn, ...], new: tuple[Turn, ...], draw: st.DrawFn) -> tuple[Turn, ...]:
    kept = [turn for turn in old if draw(st.integers(0, 4))]
    return tuple(sorted([*kept, *new], key=lambda turn: turn.start))


def alternating(count: int, *, relabelled: range = range(0)) -> Known:
    """A turn every second, of two speakers in turn; those in `relabelled` are said to be a third's."""
    said = tuple(
        Turn(
            index * SAMPLE_RATE,
            (index + 1) * SAMPLE_RATE,
            "SPEAKER_02" if index in relabelled else f"SPEAKER_{index % 2:02d}",
        )
        for index in range(count)
    )
    return Known(said, said, count * SAMPLE_RATE, 0)


def update_of(before: Known, after: Known) -> TurnsUpdate:
    (update,) = patches(before, after)
    return update


@given(states(), st.integers(1, 5))
def test_all_patches_applied_in_order_give_the_last_state(known: list[Known], most_starts: int) -> None:
    applied = Applied()
    for before, after in pairwise(known):
        for update in patches(before, after, most_starts):
            applied.take(update)
        assert applied.known == after


@given(states(), st.integers(1, 5))
def test_what_is_told_to_be_final_is_never_taken_back_by_the_patches_of_one_state(
    known: list[Known], most_starts: int
) -> None:
    applied = Applied()
    for before, after in pairwise(known):
        for update in patches(before, after, most_starts):
            applied.take(update)
            told = applied.known
            assert before.horizon <= told.horizon <= after.horizon
            assert all(turn.start < told.horizon for turn in [*told.turns, *told.exclusive])
            final = [turn for turn in told.turns if turn.start < told.final_horizon]
            if told.final_horizon > before.final_horizon:
                assert final == [turn for turn in after.turns if turn.start < told.final_horizon]


@given(states())
def test_turns_that_did_not_change_are_sent_only_between_some_that_did(known: list[Known]) -> None:
    for before, after in pairwise(known):
        old, new = {*before.turns, *before.exclusive}, {*after.turns, *after.exclusive}
        changed = {turn.start for turn in old ^ new} | {
            start for start in {turn.start for turn in old | new} if at(before, start) != at(after, start)
        }
        for update in patches(before, after):
            applied = Applied()
            applied.take(update)
            sent = [turn.start for turn in [*applied.known.turns, *applied.known.exclusive]]
            assert not sent or any(start <= min(sent) for start in changed)
            assert not sent or any(start >= max(sent) for start in changed)


def at(known: Known, start: int) -> list[list[Turn]]:
    return [[turn for turn in held if turn.start == start] for held in (known.turns, known.exclusive)]


@given(states())
def test_nothing_new_is_not_told(known: list[Known]) -> None:
    assert all(not list(patches(state, state)) for state in known)


def test_a_turn_that_goes_on_is_sent_alone() -> None:
    before = Known((Turn(0, 5, "SPEAKER_00"), Turn(5, 8, "SPEAKER_01")), (), 8)
    after = Known((Turn(0, 5, "SPEAKER_00"), Turn(5, 11, "SPEAKER_01")), (), 11)
    update = update_of(before, after)
    assert [seconds(turn.span.end) * SAMPLE_RATE for turn in update.turns] == [11]
    assert not update.HasField("until")


def test_a_label_that_changed_long_ago_takes_the_turns_since_with_it_only_where_they_changed() -> None:
    sent = list(patches(alternating(100), alternating(101, relabelled=range(10, 12))))
    assert [len(update.turns) for update in sent] == [2, 1]
    assert seconds(sent[0].until) == 11 + 1 / SAMPLE_RATE


def test_changes_near_each_other_share_a_message() -> None:
    before, after = alternating(20), alternating(20, relabelled=range(4, 17, 3))
    assert 5 < len(update_of(before, after).turns) <= 13


def test_silence_is_told_by_the_horizon_alone() -> None:
    update = update_of(Known((), (), MINUTE, 0), Known((), (), 2 * MINUTE, MINUTE))
    assert not update.turns
    assert (seconds(update.horizon), seconds(update.final_horizon)) == (120, 60)


def test_hours_of_turns_are_sent_in_parts() -> None:
    sent = list(patches(Known(), alternating(12_000)))
    assert [len(update.turns) for update in sent] == [5_000, 5_000, 2_000]
    assert max(update.ByteSize() for update in sent) < 1_000_000


def test_totals_and_voices() -> None:
    found = Diarization(
        turns=(
            Turn(SAMPLE_RATE, 3 * SAMPLE_RATE, "SPEAKER_00"),
            Turn(2 * SAMPLE_RATE, 4 * SAMPLE_RATE, "SPEAKER_01"),
            Turn(6 * SAMPLE_RATE, 7 * SAMPLE_RATE, "SPEAKER_00"),
        ),
        exclusive=(),
        speakers=("SPEAKER_00", "SPEAKER_01"),
        samples=MINUTE,
        embeddings={"SPEAKER_00": (0.6, 0.8)},
    )
    total = completed(found, with_embeddings=True)
    assert (list(total.speakers), total.turns, seconds(total.speech_duration)) == (
        ["SPEAKER_00", "SPEAKER_01"],
        3,
        4,
    )
    assert [(voice.label, seconds(voice.speech_duration)) for voice in total.voices] == [
        ("SPEAKER_00", 3),
        ("SPEAKER_01", 2),
    ]
    assert [len(voice.embedding) for voice in total.voices] == [2, 0]
    assert [(seconds(span.start), seconds(span.end)) for span in total.overlaps] == [(2, 3)]


def test_embeddings_are_for_those_who_ask() -> None:
    found = Diarization((Turn(0, 9, "SPEAKER_00"),), (), ("SPEAKER_00",), 9, {"SPEAKER_00": (1.0,)})
    assert not completed(found).voices[0].embedding
