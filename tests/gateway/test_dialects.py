"""What a second call adds to what the first one delivered."""

import pytest

from gateway.dialects import DiarizationDialect, RecognitionDialect
from gateway.merge import SECOND, TurnsPatch
from gateway.reports import Words
from speech.diarization.v1 import diarization_pb2
from support.gateway.fakes import turns_update, utterance


def heard(dialect: RecognitionDialect, *utterances: tuple[float, float, str]) -> list[str]:
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
    spans = [(turn.start / SECOND, turn.end / SECOND, turn.speaker) for turn in patch.exclusive]
    assert spans == [(2, 5, "A"), (6, 7, "B")]
    assert (patch.since, patch.horizon, patch.final_horizon) == (2 * SECOND, 9 * SECOND, 8 * SECOND)


def test_a_second_call_that_has_not_come_as_far_takes_nothing_back():
    dialect = DiarizationDialect("", diarization_pb2.SpeakerHints())
    turns(dialect, turns_update([(0, 3, "A")], horizon=5, final=5))
    dialect.restart()
    patch = turns(dialect, turns_update([(0, 1, "A")], horizon=1, final=1))
    assert patch == TurnsPatch(5 * SECOND, (), (), 5 * SECOND, 5 * SECOND)
