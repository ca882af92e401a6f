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


def test_an_utterance_without_words_is_not_tried_again() -> None:
    engine = answering([])
    assert heard(engine, speech(10, (0.2, 8))) == []
    assert len(engine.asked) == 1


def test_ends_where_the_first_got_nowhere() -> None:
    engine = answering([(" a", 0.0, 0.0)])
    assert heard(engine, speech(4, (0, 3))) == [(b" a", 0.0)]


def test_ends_where_going_on_gets_no_further() -> None:
    engine = answering([(" a", 0.0, 2.0)], [(" b", 0.0, 0.1)])
    assert heard(engine, speech(9, (0, 2), (2.5, 8))) == [(b" a", 0.0), (b" b", 2.35)]
