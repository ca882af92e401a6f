"""The numeric gate: what it hears, what it compares, and what it refuses."""

from math import inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_service.engines.ort.gate import (
    Figures,
    Reference,
    judge,
    relative_error,
    spread,
    token_agreement,
)
from asr_service.engines.ort.settings import BOUNDS, Bounds, Settings
from asr_service.engines.ort.speechlike import speech_like
from serving.errors import ModelUnavailable

VALUES = np.random.default_rng(0).normal(size=(2, 30, 8)).astype(np.float32)
LENGTHS = np.array([30, 30])
ROWS = st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=3)


def reference() -> Reference:
    return Reference.of({"x": VALUES[..., :4]}, {"out": VALUES, "lens": LENGTHS}, [[1, 2, 3], [4]])


def test_the_sound_is_always_the_same_and_of_the_length_that_was_asked_for() -> None:
    assert np.array_equal(speech_like(2.5), speech_like(2.5))
    assert speech_like(2.5).shape == (40_000,)
    assert not np.array_equal(speech_like(2.5), speech_like(2.5, seed=1))


def test_the_sound_has_loud_and_silent_parts_and_stays_in_range() -> None:
    sound = speech_like(10.0)
    loudness = np.abs(sound).reshape(-1, 1600).max(axis=1)
    assert 0.1 < loudness.max() < 1
    assert (loudness < 0.001).sum() >= 10, "pauses"


def test_error_is_relative_to_the_reference() -> None:
    assert relative_error(VALUES, VALUES) == 0
    assert relative_error(VALUES, VALUES * 1.01) == pytest.approx(0.01, rel=1e-3)
    assert relative_error(VALUES, -VALUES) == pytest.approx(2)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_no_number_is_as_wrong_as_can_be(broken: float) -> None:
    candidate = VALUES.copy()
    candidate[0, 0, 0] = broken
    assert relative_error(VALUES, candidate) == inf


def test_silence_can_only_equal_silence() -> None:
    nothing = np.zeros(3, np.float32)
    assert relative_error(nothing, nothing) == 0
    assert relative_error(nothing, nothing + 1e-9) == inf


def test_lengths_must_be_the_same() -> None:
    assert relative_error(LENGTHS, LENGTHS) == 0
    assert relative_error(LENGTHS, LENGTHS + 1) == inf


@pytest.mark.parametrize(
    ("one", "other", "agreement"),
    [
        ([[1, 2, 3, 4]], [[1, 2, 3, 4]], 1.0),
        ([[1, 2, 3, 4]], [[1, 2, 9, 4]], 0.75),
        ([[1, 2, 3, 4]], [[1, 2, 4]], 0.75),
        ([[1, 2, 3, 4]], [[]], 0.0),
        ([[1, 2, 3, 4], [5, 6]], [[1, 2, 3, 4], [5, 7]], 5 / 6),
        ([[]], [[]], 1.0),
        ([[1]], [[1], [1]], 0.0),
    ],
)
def test_tokens_agree_as_far_as_few_edits_lead_from_one_to_the_other(
    one: list[list[int]], other: list[list[int]], agreement: float
) -> None:
    assert token_agreement(one, other) == pytest.approx(agreement)


@given(ROWS, ROWS)
def test_agreement_is_a_share_and_the_same_both_ways(one: list[list[int]], other: list[list[int]]) -> None:
    assert 0 <= token_agreement(one, other) <= 1
    assert token_agreement(one, other) == token_agreement(other, one)
    assert token_agreement(one, one) == 1


def test_small_outputs_are_kept_whole_and_large_ones_from_every_channel() -> None:
    assert np.array_equal(spread(VALUES), VALUES.ravel())
    large = np.tile(np.arange(1024), (5000, 1))
    kept = spread(large)
    assert len(kept) <= 1 << 20
    assert set(kept) == set(range(1024))


def test_the_worst_output_counts() -> None:
    figures = reference().compare({"out": VALUES * 1.01, "lens": LENGTHS}, [[1, 2, 3], [4]])
    assert figures.relative_error == pytest.approx(0.01, rel=1e-3)
    assert figures.token_agreement == 1
    assert reference().compare({"out": VALUES, "lens": LENGTHS + 1}, [[1, 2, 3], [4]]).relative_error == inf


def test_an_output_that_is_missing_or_of_another_shape_is_wrong() -> None:
    assert reference().compare({"lens": LENGTHS}, []).relative_error == inf
    assert reference().compare({"out": VALUES[:1], "lens": LENGTHS}, []).relative_error == inf


def test_a_reference_is_read_as_it_was_written(tmp_path: Path) -> None:
    reference().save(tmp_path / "reference.npz")
    read = Reference.load(tmp_path / "reference.npz", [[1, 2, 3], [4]])
    assert np.array_equal(read.inputs["x"], VALUES[..., :4])
    assert read.shapes == {"out": (2, 30, 8), "lens": (2,)}
    assert read.compare({"out": VALUES, "lens": LENGTHS}, [[1, 2, 3], [4]]) == Figures(0.0, 1.0)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 a broken one"])
def test_a_damaged_reference_is_an_error_that_can_be_caught(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "reference.npz").write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 - of several libraries, none of them worth quoting
        Reference.load(tmp_path / "reference.npz", [])


def test_figures_within_the_bounds_pass() -> None:
    judge(Figures(0.03, 0.9), Bounds(0.03, 0.9))


@pytest.mark.parametrize("figures", [Figures(0.031, 1.0), Figures(0.0, 0.89), Figures(inf, 1.0)])
def test_figures_outside_the_bounds_are_told(figures: Figures) -> None:
    with pytest.raises(ModelUnavailable) as raised:
        judge(figures, Bounds(0.03, 0.9))
    assert str(figures) in raised.value.message
    assert "at most 0.03 and at least 90%" in raised.value.message


def test_an_empty_text_passes_no_precision() -> None:
    agreement = token_agreement([[1, 2, 3]], [[]])
    for bounds in BOUNDS.values():
        with pytest.raises(ModelUnavailable):
            judge(Figures(0.0, agreement), bounds)


def test_bounds_follow_the_precision_unless_they_are_named() -> None:
    assert Settings(precision="bf16").allowed == BOUNDS["bf16"]
    assert Settings(bounds=Bounds(1.0, 0.0)).allowed == Bounds(1.0, 0.0)
