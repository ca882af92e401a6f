"""A list of turns that is patched in its middle answers like one that was made anew."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.merge import FOREVER, Turn
from gateway.merge.timeline import Timeline

moments = st.integers(0, 30)


@st.composite
def turns(draw, since: int = 0, until: int = 30) -> list[Turn]:
    starts = draw(st.lists(st.integers(since, until), max_size=8))
    return [Turn(start, start + draw(st.integers(1, 12)), draw(st.sampled_from("AB"))) for start in starts]


@st.composite
def patches(draw) -> tuple[int, int, list[Turn]]:
    since = draw(moments)
    until = draw(st.integers(since, 30) | st.just(FOREVER))
    kept = draw(turns(since, max(since, min(until, 31) - 1))) if until > since else []
    return since, until, kept


def of(found: list[Turn]) -> Timeline:
    timeline = Timeline()
    timeline.replace_range(0, FOREVER, found)
    return timeline


def answers(timeline: Timeline, moment: int, limit: int) -> list[object]:
    before = timeline.last_before(moment, limit)
    return [
        list(timeline.overlapping(moment, moment + 3, limit)),
        before and before.end,
        timeline.first_from(moment, limit),
    ]


@given(turns(), st.lists(patches(), max_size=5), moments, moments)
def test_a_patched_list_answers_like_one_made_anew(first, changes, moment, limit):
    patched = of(first)
    for since, until, told in changes:
        patched.replace_range(since, until, told)
    assert answers(patched, moment, limit) == answers(of(list(patched)), moment, limit)


@given(turns(), patches())
def test_turns_that_start_within_the_range_are_replaced_and_no_others(first, change):
    since, until, told = change
    patched = of(first)
    patched.replace_range(since, until, told)
    kept = [turn for turn in first if not since <= turn.start < until]
    assert sorted(patched, key=repr) == sorted(kept + told, key=repr)


@given(turns(), patches(), moments)
def test_where_it_makes_no_difference_the_same_speakers_are_heard(first, change, moment):
    before, after = of(first), of(first)
    difference = after.replace_range(*change)

    def heard(timeline: Timeline) -> set[str]:
        return {turn.speaker for turn in timeline.overlapping(moment, moment + 1, FOREVER)}

    assert (difference and difference.start <= moment < difference.end) or heard(before) == heard(after)


def test_a_turn_that_grows_makes_a_difference_where_it_grew():
    timeline = of([Turn(0, 10, "A"), Turn(20, 30, "B")])
    assert timeline.replace_range(0, 5, [Turn(0, 12, "A")]) == (10, 12)
    assert timeline.replace_range(0, FOREVER, [Turn(0, 12, "A"), Turn(20, 30, "B")]) is None
