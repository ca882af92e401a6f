"""Speech that an engine stopped short of is decoded by itself."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from asr_service.engines.base import Recognition, Speech, Stop, Stopped, Token
from asr_service.engines.continuing import ContinuingEngine
from serving.times import SAMPLE_RATE
from support.recognition import INFO, FakeEngine


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


def stopping_early(*, max_batch: int = 8, bucket: Callable[[Speech], int] = lambda _: 0) -> FakeEngine:
    """Hears one token of a second at the first voice, and nothing of what comes after it."""

    def answer(speech: Speech) -> Recognition:
        at = int(speech.samples[0])
        return Recognition((Token(b" %d" % at, speech.voiced[0][0], 1.0),))

    return FakeEngine(answer, info=replace(INFO, max_batch=max_batch), bucket=bucket)


def test_what_utterances_miss_is_decoded_in_rounds() -> None:
    once, twice, never = (
        speech(9, (0, 1.5), (4, 5.5)),
        speech(12, (0, 1.5), (4, 5.5), (8, 9.5)),
        speech(2, (0, 1.5)),
    )
    engine = stopping_early()
    together = ContinuingEngine(engine).recognize([once, twice, never])
    assert [len(batch) for batch in engine.batches] == [3, 2, 1]
    assert [len(recognition.tokens) for recognition in together] == [2, 3, 1]
    assert together == [ContinuingEngine(engine).recognize([alone])[0] for alone in (once, twice, never)]


def test_a_round_keeps_to_the_engines_batches() -> None:
    lengths = (9, 30, 12, 10)
    engine = stopping_early(max_batch=2, bucket=lambda speech: len(speech.samples) // (8 * SAMPLE_RATE))
    together = ContinuingEngine(engine).recognize([speech(length, (0, 1.5), (4, 5.5)) for length in lengths])
    rounds = [[round(speech.seconds, 2) for speech in batch] for batch in engine.batches]
    assert rounds == [[9, 12], [10], [30], [5.15, 6.15], [8.15], [26.15]]
    assert [len(recognition.tokens) for recognition in together] == [2, 2, 2, 2]


def test_stopping_it_stops_the_engine() -> None:
    stop, gate = Stop(), threading.Event()
    gate.set()

    def answer(_: Speech) -> Recognition:
        stop.set()
        return Recognition((Token(b" a", 0.0, 1.0),))

    with pytest.raises(Stopped):
        ContinuingEngine(FakeEngine(answer, gate=gate)).recognize([speech(9, (0, 1), (4, 8))], stop)
