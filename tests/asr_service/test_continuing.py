"""Speech that an engine stopped short of is decoded by itself."""

from collections.abc import Sequence

import numpy as np

from asr_service.engines.base import Recognition, Speech, Token
from asr_service.engines.continuing import ContinuingEngine
from serving.times import SAMPLE_RATE
from support.recognition import FakeEngine


def speech(seconds: float, *voiced: tuple[float, float]) -> Speech:
    """Samples count up, so that a piece tells where it was cut from."""
    return Speech(np.arange(round(seconds * SAMPLE_RATE), dtype=np.float32), "en", voiced)


def answering(*answers: Sequence[tuple[str, float, float]]) -> FakeEngine:
    """Says what it is told to, call after call: (token, start, duration)."""
    left = list(answers)

    def answer(_: Speech) -> Recognition:
        return Recognition(tuple(Token(text.encode(), start, length) for text, start, length in left.pop(0)))

    return FakeEngine(answer)


def heard(engine: FakeEngine, utterance: Speech) -> list[tuple[bytes, float]]:
    (recognition,) = ContinuingEngine(engine).recognize([utterance])
    return [(token.text, round(token.start or 0.0, 3)) for token in recognition.tokens]


def test_goes_on_behind_an_early_stop() -> None:
    engine = answering([(" a", 0.5, 1.5)], [(" b", 0.15, 2.0)])
    assert heard(engine, speech(10, (0.2, 2.1), (5.0, 7.5))) == [(b" a", 0.5), (b" b", 5.0)]
    rest = engine.asked[1]
    assert rest.samples[0] == round(4.85 * SAMPLE_RATE)
    assert rest.language == "en"
    assert [(round(start, 3), round(end, 3)) for start, end in rest.voiced] == [(0.15, 2.65)]


def test_goes_on_more_than_once() -> None:
    engine = answering([(" a", 0.0, 1.0)], [(" b", 0.15, 1.0)], [(" c", 0.15, 1.8)])
    assert len(heard(engine, speech(12, (0, 1), (3, 4.2), (6, 8)))) == 3


def test_is_content_with_what_reaches_the_end() -> None:
    engine = answering([(" a", 0.5, 1.5), (" b", 2.0, 5.0)])
    heard(engine, speech(10, (0.2, 2.1), (5.0, 7.9)))
    assert len(engine.asked) == 1


def test_a_short_noise_behind_the_words_is_left_alone() -> None:
    engine = answering([(" a", 0.5, 1.5)])
    heard(engine, speech(10, (0.2, 2.5), (8.0, 8.4)))
    assert len(engine.asked) == 1


def test_stops_where_nothing_is_said() -> None:
    engine = answering([(" a", 0.5, 1.0)], [])
    assert heard(engine, speech(10, (0.2, 1.5), (5, 8))) == [(b" a", 0.5)]


def spans(pieces: Sequence[Speech]) -> list[tuple[float, float]]:
    """Where they were cut from, in seconds."""
    return [
        (
            round(float(piece.samples[0]) / SAMPLE_RATE, 3),
            round(float(piece.samples[-1] + 1) / SAMPLE_RATE, 3),
        )
        for piece in pieces
    ]


def test_an_utterance_without_words_is_decoded_in_parts() -> None:
    engine = answering([], [(" a", 0.15, 3.0)], [(" b", 0.15, 1.9)])
    assert heard(engine, speech(10, (0.5, 3.5), (4.0, 6.0))) == [(b" a", 0.5), (b" b", 4.0)]
    assert spans(engine.asked) == [(0, 10), (0.35, 3.65), (3.85, 6.15)]
    assert [(round(start, 3), round(end, 3)) for start, end in engine.asked[2].voiced] == [(0.15, 2.15)]


def test_a_long_voice_without_a_pause_is_cut_into_equal_parts() -> None:
    engine = answering([], [(" a", 0.0, 8.0)], [], [(" c", 0.0, 8.0)])
    assert heard(engine, speech(24, (0, 24))) == [(b" a", 0.0), (b" c", 16.0)]
    assert spans(engine.asked[1:]) == [(0, 8.15), (8, 16.15), (16, 24)]


def test_goes_on_within_a_part() -> None:
    engine = answering([], [(" a", 0.0, 1.0)], [(" b", 0.15, 2.0)], [])
    assert heard(engine, speech(12, (0, 1), (3, 5), (6, 12))) == [(b" a", 0.0), (b" b", 3.0)]


def test_gives_up_where_the_parts_have_no_words_either() -> None:
    engine = answering([], [], [], [])
    assert heard(engine, speech(29, (0, 9), (10, 19), (20, 29))) == []
    assert len(engine.asked) == 4


def test_an_utterance_with_hardly_a_voice_is_not_tried_again() -> None:
    engine = answering([])
    assert heard(engine, speech(10, (0.2, 1.1))) == []
    assert len(engine.asked) == 1


def test_does_not_go_on_from_a_token_without_a_start() -> None:
    engine = FakeEngine(lambda _: Recognition((Token(b" a"),)))
    (recognition,) = ContinuingEngine(engine).recognize([speech(9, (0, 8))])
    assert recognition.tokens == (Token(b" a"),)
    assert len(engine.asked) == 1


def test_a_later_token_without_a_start_is_not_given_one() -> None:
    left = [Recognition((Token(b" a", 0.0, 1.0),)), Recognition((Token(b" b"),))]
    engine = FakeEngine(lambda _: left.pop(0))
    (recognition,) = ContinuingEngine(engine).recognize([speech(9, (0, 1), (4, 8))])
    assert recognition.tokens == (Token(b" a", 0.0, 1.0), Token(b" b"))


def test_ends_where_the_first_got_nowhere() -> None:
    engine = answering([(" a", 0.0, 0.0)])
    assert heard(engine, speech(4, (0, 3))) == [(b" a", 0.0)]


def test_ends_where_going_on_gets_no_further() -> None:
    engine = answering([(" a", 0.0, 2.0)], [(" b", 0.0, 0.1)])
    assert heard(engine, speech(9, (0, 2), (2.5, 8))) == [(b" a", 0.0), (b" b", 2.35)]
