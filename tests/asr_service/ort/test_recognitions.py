"""Hypotheses become tokens: texts from the table, times from encoder frames."""

from dataclasses import replace

import numpy as np
import pytest

from asr_service.engines.base import Token
from asr_service.engines.ort.recognitions import recognitions
from asr_service.engines.ort.stages import Hypotheses

TEXTS = {0: b"<blk>", 1: b" go", 2: b"od", 3: b""}
FOUND = Hypotheses(
    tokens=np.array([[1, 2, 0], [2, 3, 1], [0, 0, 0]]),
    frames=np.array([[3, 7, 0], [0, 1, 9], [0, 0, 0]]),
    log_probs=np.array([[-0.5, -0.25, 0], [-1, -2, -3], [0, 0, 0]], np.float32),
    counts=np.array([2, 3, 0]),
)


def test_each_row_gives_its_own_tokens_and_no_filling() -> None:
    first, second, third = recognitions(FOUND, TEXTS, 0.25)
    assert first.tokens == (Token(b" go", 0.75, None, -0.5), Token(b"od", 1.75, None, -0.25))
    assert second.tokens == (Token(b"od", 0.0, None, -1.0), Token(b" go", 2.25, None, -3.0)), "no empty text"
    assert third.tokens == ()


def test_durations_are_seconds_where_the_model_says_them() -> None:
    lasting = replace(FOUND, durations=np.array([[4, 0, 0], [1, 2, 3], [0, 0, 0]]))
    durations = [[token.duration for token in found.tokens] for found in recognitions(lasting, TEXTS, 0.25)]
    assert durations == [[1.0, 0.0], [0.25, 0.75], []]


def test_times_are_numbers_of_single_precision() -> None:
    """As sherpa-onnx gives them, so that both engines' can be compared."""
    (first, *_) = recognitions(FOUND, TEXTS, 0.08)
    assert [token.start for token in first.tokens] == [
        float(np.float32(0.08) * np.float32(frame)) for frame in (3, 7)
    ]
    assert first.tokens[0].start != 0.08 * 3
    assert first.tokens[0].start == pytest.approx(0.24)


def test_nothing_found_at_all() -> None:
    nothing = Hypotheses(
        np.zeros((2, 0), np.int64),
        np.zeros((2, 0), np.int64),
        np.zeros((2, 0), np.float32),
        np.zeros(2, np.int64),
    )
    assert [found.tokens for found in recognitions(nothing, TEXTS, 0.04)] == [(), ()]
