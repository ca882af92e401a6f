"""What a second call adds to what the first one delivered."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialects import DiarizationDialect, Garbled, RecognitionDialect
from gateway.merge import SECOND, MergeOptions, Merger, TurnsPatch
from gateway.reports import Words
from speech.asr.v1 import asr_pb2
from speech.diarization.v1 import diarization_pb2
from support.gateway.fakes import turns_update, utterance


def heard(dialect: RecognitionDialect, *utterances: tuple[float, float, str]) -> list[str]:
    """From the first one on."""
    results = [
        result
        for index, (start, end, text) in enumerate(utterances)
        for result in dialect.results(utterance(index, start, end, text))
    ]
    return [word.text for result in results if isinstance(result, Words) for word in result.words]


FIRST, SECOND_, THIRD = (0, 2, "a b"), (1.9, 4, "c d"), (4.5, 6, "e f")


@pytest.mark.parametrize("delivered", [0, 1, 2, 3])
def test_the_same_cut_goes_on_exactly_where_it_stopped(delivered):
    dialect, utterances = RecognitionDialect("", ""), (FIRST, SECOND_, THIRD)
    words = heard(dialect, *utterances[:delivered])
    dialect.restart()
    assert words + heard(dialect, *utterances) == list("abcdef")


def test_a_third_call_knows_what_the_first_two_delivered():
    dialect = RecognitionDialect("", "")
    words = heard(dialect, FIRST)
    dialect.restart()
    words += heard(dialect, FIRST, SECOND_)
    dialect.restart()
    assert words + heard(dialect, FIRST, SECOND_, THIRD) == list("abcdef")


def test_of_another_cut_words_count_behind_what_was_delivered():
    dialect = RecognitionDialect("", "")
    assert heard(dialect, (0, 2, "a b")) == ["a", "b"]
    dialect.restart()
    # Each word takes a second; the middle of c lies at 2.5 s.
    assert heard(dialect, (0, 4, "a b c d"), (5, 6, "e")) == ["c", "d", "e"]
    dialect.restart()
    assert heard(dialect, (0, 4, "a b c d"), (5, 7, "e f")) == ["f"]


def test_an_answer_cannot_be_complete_before_the_recording_is():
    dialect = RecognitionDialect("", "")
    completed = asr_pb2.RecognizeResponse(completed=asr_pb2.RecognitionCompleted())
    dialect.audio(bytes(3_200))
    with pytest.raises(Garbled):
        list(dialect.results(completed))
    dialect.end()
    assert list(dialect.results(completed))


def test_words_without_text_are_none():
    assert heard(RecognitionDialect("", ""), (0, 2, "")) == []


def turns(dialect: DiarizationDialect, update: diarization_pb2.TurnsUpdate) -> TurnsPatch:
    (patch,) = dialect.results(diarization_pb2.DiarizeResponse(turns=update))
    assert isinstance(patch, TurnsPatch)
    return patch


def test_a_second_call_continues_the_final_turns_of_the_first():
    dialect = DiarizationDialect("", diarization_pb2.SpeakerHints())
    turns(dialect, turns_update([(0, 3, "A")], horizon=3, final=2))
    dialect.restart()
    patch = turns(dialect, turns_update([(0, 5, "A"), (6, 7, "B")], horizon=9, final=8))
    assert spans(patch) == [(2, 5, "A"), (6, 7, "B")]
    assert (patch.since, patch.horizon, patch.final_horizon) == (2 * SECOND, 9 * SECOND, 8 * SECOND)


def test_a_second_call_that_has_not_come_as_far_takes_nothing_back():
    dialect = DiarizationDialect("", diarization_pb2.SpeakerHints())
    turns(dialect, turns_update([(0, 3, "A")], horizon=5, final=5))
    dialect.restart()
    patch = turns(dialect, turns_update([(0, 1, "A")], horizon=1, final=1))
    assert patch == TurnsPatch(5 * SECOND, (), (), 5 * SECOND, 5 * SECOND)


def spans(patch: TurnsPatch) -> list[tuple[float, float, str]]:
    return [(turn.start / SECOND, turn.end / SECOND, turn.speaker) for turn in patch.exclusive]


def nothing(dialect: DiarizationDialect, update: diarization_pb2.TurnsUpdate) -> bool:
    return list(dialect.results(diarization_pb2.DiarizeResponse(turns=update))) == []


def test_early_turns_stay_until_a_second_call_has_come_as_far():
    dialect = DiarizationDialect("", diarization_pb2.SpeakerHints())
    turns(dialect, turns_update([(0, 3, "A"), (4, 9, "B")], horizon=9, final=0))
    dialect.restart()
    assert nothing(dialect, turns_update([(0, 3, "B")], horizon=3, final=0))
    assert nothing(dialect, turns_update([(3.5, 8, "A")], since=3, horizon=8, final=0))
    patch = turns(dialect, turns_update([(3.5, 10, "A")], since=3.5, until=3.6, horizon=10, final=0))
    assert spans(patch) == [(0, 3, "B"), (3.5, 10, "A")]
    assert (patch.since, patch.horizon) == (0, 10 * SECOND)
    patch = turns(dialect, turns_update([(0, 3, "C")], since=0, until=1, horizon=10, final=0))
    assert (patch.since, patch.until, spans(patch)) == (0, SECOND, [(0, 3, "C")])


def test_what_a_second_call_found_counts_even_if_it_has_never_come_as_far():
    dialect = DiarizationDialect("", diarization_pb2.SpeakerHints())
    turns(dialect, turns_update([(0, 3, "A")], horizon=9, final=0))
    dialect.restart()
    assert nothing(dialect, turns_update([(0, 4, "A")], horizon=8, final=8))
    dialect.end()
    done = diarization_pb2.DiarizeResponse(completed=diarization_pb2.DiarizationCompleted(speakers=["A"]))
    patch, completed = dialect.results(done)
    assert spans(patch) == [(0, 4, "A")]
    assert completed.speakers == ("A",)


def test_a_third_call_starts_from_what_the_first_two_delivered():
    dialect = DiarizationDialect("", diarization_pb2.SpeakerHints())
    turns(dialect, turns_update([(0, 9, "A")], horizon=9, final=0))
    dialect.restart()
    assert nothing(dialect, turns_update([(0, 3, "B")], horizon=3, final=3))
    dialect.restart()
    assert nothing(dialect, turns_update([(0, 6, "C")], horizon=6, final=2))
    assert spans(turns(dialect, turns_update([(6, 9, "D")], since=6, horizon=9, final=2))) == [
        (0, 6, "C"),
        (6, 9, "D"),
    ]


FINAL = 10


@st.composite
def updates(draw) -> diarization_pb2.TurnsUpdate:
    since, until = sorted(draw(st.tuples(st.integers(0, 20), st.integers(0, 20))))
    starts = draw(st.lists(st.integers(since, until - 1), max_size=4)) if until > since else []
    found = [
        (start, start + draw(st.integers(1, 8)), draw(st.sampled_from("AB"))) for start in sorted(starts)
    ]
    return turns_update(found, since=since, until=until, horizon=30, final=0)


@settings(deadline=None)
@given(st.lists(updates(), max_size=6))
def test_patches_of_a_second_call_add_up_to_its_turns_behind_what_was_final(changes):
    dialect, merger, alone = (
        DiarizationDialect("", diarization_pb2.SpeakerHints()),
        Merger(MergeOptions()),
        [],
    )
    first = turns_update([(0, FINAL, "X"), (FINAL, 40, "Y")], horizon=30, final=FINAL)
    merger.patch_turns(turns(dialect, first))
    dialect.restart()
    for change in (turns_update([], horizon=30, final=0), *changes):
        merger.patch_turns(turns(dialect, change))
        since, until = getattr(change, "from").seconds, change.until.seconds
        alone = [turn for turn in alone if not since <= turn[0] < until]
        alone += [(turn.span.start.seconds, turn.span.end.seconds, turn.speaker) for turn in change.turns]
    expected = [(0, FINAL, "X")]
    expected += [(max(start, FINAL), end, speaker) for start, end, speaker in alone if end > FINAL]
    found = [(turn.start // SECOND, turn.end // SECOND, turn.speaker) for turn in merger.turns]
    assert sorted(found) == sorted(expected)


def test_embeddings_are_asked_for_where_the_caller_wants_them():
    hints = diarization_pb2.SpeakerHints()
    assert DiarizationDialect("", hints, embeddings=True).config().config.speaker_embeddings
    assert not DiarizationDialect("", hints).config().config.speaker_embeddings
