"""Word times and confidence, for models that measure, that drift, and that give nothing."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_service.engines.base import EngineInfo, Recognition, Token
from asr_service.utterances import Utterance
from asr_service.vad import Region
from asr_service.words import Word, transcribe
from serving.times import SAMPLE_RATE
from support.recognition import INFO

DRIFTING = replace(INFO, family="whisper", times_drift=True, has_confidence=False)
SILENT = replace(INFO, family="moonshine", measures_time=False, has_confidence=False)
OFFSET = 100.0


def utterance(seconds: float, *regions: tuple[float, float]) -> Utterance:
    """Begins at OFFSET seconds; regions in seconds from there."""
    start = round(OFFSET * SAMPLE_RATE)
    voiced = tuple(
        Region(start + round(begin * SAMPLE_RATE), start + round(end * SAMPLE_RATE)) for begin, end in regions
    )
    return Utterance(start, np.zeros(round(seconds * SAMPLE_RATE), np.int16), voiced)


def timed(
    info: EngineInfo, heard_in: Utterance, *tokens: tuple[str, float] | tuple[str, float, float]
) -> list[tuple[str, float, float]]:
    """(word, start, end) in seconds from OFFSET, for tokens with start and perhaps duration."""
    made = [
        Token(token[0].encode(), start=token[1], duration=token[2] if len(token) > 2 else None)
        for token in tokens
    ]
    words = transcribe(Recognition(tuple(made)), heard_in, info).words
    return [(word.text, round(word.start - OFFSET, 3), round(word.end - OFFSET, 3)) for word in words]


def test_measured_words_end_where_the_next_begins() -> None:
    heard = timed(INFO, utterance(3, (0.2, 2.8)), (" a", 0.3), (" b", 0.9), ("c", 1.2), (" d", 2.0))
    assert heard == [("a", 0.3, 0.9), ("bc", 0.9, 2.0), ("d", 2.0, 2.9)]


def test_measured_words_do_not_last_through_silence() -> None:
    heard = timed(INFO, utterance(6, (0.2, 1.0), (4.0, 5.5)), (" a", 0.4), (" b", 4.1))
    assert heard == [("a", 0.4, 1.1), ("b", 4.1, 5.6)]


def test_measured_words_outside_speech_are_short() -> None:
    assert timed(INFO, utterance(6, (0.2, 1.0)), (" a", 3.0)) == [("a", 3.0, 3.6)]


def test_durations_are_believed() -> None:
    assert timed(INFO, utterance(6, (0.2, 6)), (" a", 1.0, 0.24), (" b", 3.0, 0.5)) == [
        ("a", 1.0, 1.24),
        ("b", 3.0, 3.5),
    ]


def test_punctuation_takes_no_time() -> None:
    heard = timed(DRIFTING, utterance(4, (0, 4)), (" a", 0.0, 0.5), (".", 0.5, 1.5), (" b", 2.0, 1.0))
    assert heard == [("a.", 0.0, 0.5), ("b", 2.0, 3.0)]


def test_a_word_that_swallowed_the_silence_before_it_starts_with_the_voice() -> None:
    heard = timed(DRIFTING, utterance(5, (3.3, 4.5)), (" well", 0.0, 3.9), (" yes", 3.9, 0.5))
    assert heard == [("well", 3.3, 3.9), ("yes", 3.9, 4.4)]


def test_a_word_in_silence_moves_to_the_next_speech() -> None:
    heard = timed(
        DRIFTING, utterance(6, (0, 1), (3, 5)), (" a", 0.2, 0.6), (" b", 2.0, 0.5), (" c", 3.5, 0.5)
    )
    assert heard == [("a", 0.0, 0.8), ("b", 3.0, 3.05), ("c", 3.5, 4.0)]


def test_a_word_behind_all_speech_moves_to_its_end() -> None:
    ((_, start, end),) = timed(DRIFTING, utterance(6, (1, 2)), (" a", 4.0, 0.5))
    assert start == 2.0
    assert end == pytest.approx(2.05)


def test_a_word_whose_start_reaches_into_speech_before_the_pause_starts_behind_it() -> None:
    heard = timed(DRIFTING, utterance(6, (0, 1), (3, 5)), (" a", 0.2, 0.75), (" b", 0.95, 2.5))
    assert heard == [("a", 0.0, 0.95), ("b", 3.0, 3.45)]


def test_a_drifting_word_that_begins_late_begins_with_the_voice() -> None:
    heard_in = utterance(6, (0, 1), (1.3, 5))
    heard = timed(DRIFTING, heard_in, (" a", 0.0, 0.9), (" b", 1.45, 0.2), (" c", 1.65, 0.5))
    assert heard == [("a", 0.0, 0.9), ("b", 1.3, 1.65), ("c", 1.65, 2.15)]


def test_voice_long_before_a_drifting_word_is_not_that_word() -> None:
    assert timed(DRIFTING, utterance(6, (1, 5)), (" a", 1.4, 0.5)) == [("a", 1.4, 1.9)]


def test_a_drifting_word_does_not_last_through_silence_behind_it() -> None:
    assert timed(DRIFTING, utterance(6, (0, 1), (3, 5)), (" a", 0.5, 3.0)) == [("a", 0.5, 1.0)]


def test_a_word_may_span_a_short_pause() -> None:
    assert timed(DRIFTING, utterance(6, (0, 1), (1.2, 5)), (" a", 0.5, 1.0)) == [("a", 0.5, 1.5)]


def test_estimated_words_share_the_voiced_time_by_length() -> None:
    heard_in = utterance(10, (1, 3), (6, 8))
    tokens = tuple(Token(piece.encode()) for piece in (" aaaa", " bb", " cc"))
    words = transcribe(Recognition(tokens), heard_in, SILENT).words
    assert [(word.start - OFFSET, word.end - OFFSET) for word in words] == [(1, 3), (6, 7), (7, 8)]
    assert not any(word.is_measured for word in words)


def test_times_are_estimated_where_one_token_has_none() -> None:
    tokens = (Token(b" a", start=0.5), Token(b" b"))
    words = transcribe(Recognition(tokens), utterance(3, (0, 2)), INFO).words
    assert [word.is_measured for word in words] == [False, False]


def test_confidence_is_the_mean_probability() -> None:
    tokens = (
        Token(b" a", start=0.1, log_prob=math.log(0.5)),
        Token(b"b", start=0.2, log_prob=math.log(0.125)),
    )
    (word,) = transcribe(Recognition(tokens), utterance(3, (0, 2)), INFO).words
    assert word.confidence == pytest.approx(0.25)
    (bare,) = transcribe(Recognition((Token(b" a", start=0.1),)), utterance(3, (0, 2)), INFO).words
    assert bare.confidence is None


LETTERS = st.text("abc", min_size=1, max_size=8)
TIMES = st.floats(-1, 12) | st.sampled_from([0.0, 2.0, 5.0])


@st.composite
def recognitions(draw: st.DrawFn) -> tuple[Recognition, Utterance]:
    edges = sorted(draw(st.sets(st.integers(0, 100), max_size=8)))
    regions = [(start / 10, end / 10) for start, end in zip(edges[::2], edges[1::2], strict=False)]
    tokens = draw(
        st.lists(
            st.builds(
                lambda text, start, duration: Token(f" {text}".encode(), start=start, duration=duration),
                LETTERS,
                TIMES,
                st.none() | st.floats(0, 20),
            ),
            max_size=12,
        )
    )
    return Recognition(tuple(tokens)), utterance(10, *regions)


@given(recognitions(), st.sampled_from([INFO, DRIFTING, SILENT]))
def test_words_stay_in_order_and_inside_the_utterance(
    heard: tuple[Recognition, Utterance], info: EngineInfo
) -> None:
    recognition, heard_in = heard
    words = transcribe(recognition, heard_in, info).words
    assert [word.text for word in words] == [token.text.decode().strip() for token in recognition.tokens]
    assert all(OFFSET <= word.start <= word.end <= OFFSET + 10 for word in words)
    assert all(before.start <= after.start and before.end <= after.start for before, after in pairwise(words))


@given(recognitions())
def test_corrected_words_begin_in_speech(heard: tuple[Recognition, Utterance]) -> None:
    recognition, heard_in = heard
    words = transcribe(recognition, heard_in, DRIFTING).words
    assert not heard_in.voiced or all(_begins_in_speech(word, heard_in) for word in words)


def _begins_in_speech(word: Word, heard_in: Utterance) -> bool:
    start = word.start - OFFSET
    crowded = 0.05 * 12  # words that the model gave no time at all follow each other
    return any(begin - 1e-6 <= start <= end + crowded for begin, end in heard_in.voiced)
