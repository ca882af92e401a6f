"""Whether utterances hear anything of those that share their batch is found out by trying."""

from collections.abc import Callable, Sequence

import numpy as np

from asr_service.engines.base import Samples
from asr_service.engines.ort.company import Company, find_company
from asr_service.engines.ort.stages import Floats

SOUND = np.random.default_rng(0).normal(size=700).astype(np.float32)
LENGTHS = (400, 401, 402, 403)

Batch = Sequence[Samples]


def company(encode: Callable[[Batch], Sequence[Floats]], sound: Samples = SOUND) -> Company:
    return find_company(encode, sound, LENGTHS, 1e-3)


def masked(batch: Batch) -> list[Floats]:
    return [np.tanh(utterance) for utterance in batch]


def padded(batch: Batch) -> list[Floats]:
    """With zeros behind each up to the longest."""
    longest = max(map(len, batch))
    return [np.pad(utterance, (0, longest - len(utterance))) for utterance in batch]


def looking_ahead(batch: Batch, stride: int) -> list[Floats]:
    """Every `stride`th value hears the next one, and where that is the last what stands behind, which counts as 1."""
    found = []
    for utterance, row in zip(batch, padded(batch), strict=True):
        behind = np.append(row, 0)[1:] + (np.arange(len(row)) >= len(utterance) - 1) * (
            len(row) > len(utterance)
        )
        found.append((row + 0.5 * behind)[: len(utterance) : stride])
    return found


def test_masked_padding_allows_any_company() -> None:
    assert company(masked) == "any"


def test_rounding_is_no_disturbance() -> None:
    assert company(lambda batch: [row * (1 + 1e-5 * len(batch)) for row in masked(batch)]) == "any"


def test_padding_that_is_heard_asks_for_equal_lengths() -> None:
    assert company(lambda batch: looking_ahead(batch, 1)) == "equal lengths"


def test_padding_that_some_lengths_hear_asks_for_equal_lengths() -> None:
    assert company(lambda batch: looking_ahead(batch, 4)) == "equal lengths"


def test_other_lengths_of_the_output_ask_for_equal_lengths() -> None:
    assert company(padded) == "equal lengths"


def test_a_scale_for_the_whole_batch_allows_no_company() -> None:
    def quantised(batch: Batch) -> list[Floats]:
        step = max(np.abs(utterance).max() for utterance in batch) / 127
        return [np.round(utterance / step) * step for utterance in batch]

    assert company(quantised, np.linspace(0, 1, 700, dtype=np.float32)) == "none"


def test_what_is_no_number_is_no_match() -> None:
    assert (
        company(lambda batch: [row * (1 if len(batch) == 1 else np.nan) for row in masked(batch)]) == "none"
    )
