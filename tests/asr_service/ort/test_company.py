"""Whether utterances hear anything of those that share their batch is found out by trying."""

from collections.abc import Sequence

import numpy as np

from asr_service.engines.ort.company import find_company
from asr_service.engines.ort.stages import Floats

FEATURES = np.random.default_rng(0).normal(size=(70, 4)).astype(np.float32)


def masked(utterances: Sequence[Floats]) -> Floats:
    return np.tanh(utterances[0])


def padded(utterances: Sequence[Floats]) -> Floats:
    """The first one, with zeros behind it up to the longest."""
    first, longest = utterances[0], max(map(len, utterances))
    return np.pad(first, [(0, longest - len(first)), (0, 0)])


def leaking(utterances: Sequence[Floats]) -> Floats:
    """Each frame hears the one after it, and the last one what stands behind."""
    ahead = padded(utterances) + 1
    return ahead[: len(utterances[0])] + 0.1 * np.append(ahead[1:], [[0] * 4], axis=0)[: len(utterances[0])]


def test_masked_padding_allows_any_company() -> None:
    assert find_company(masked, FEATURES, 1e-3) == "any"


def test_rounding_is_no_disturbance() -> None:
    assert find_company(lambda batch: masked(batch) * (1 + 1e-5 * len(batch)), FEATURES, 1e-3) == "any"


def test_padding_that_is_heard_asks_for_equal_lengths() -> None:
    assert find_company(leaking, FEATURES, 1e-3) == "equal lengths"


def test_other_lengths_of_the_output_ask_for_equal_lengths() -> None:
    assert find_company(padded, FEATURES, 1e-3) == "equal lengths"


def test_a_scale_for_the_whole_batch_allows_no_company() -> None:
    def quantised(utterances: Sequence[Floats]) -> Floats:
        step = max(np.abs(utterance).max() for utterance in utterances) / 127
        return np.round(utterances[0] / step) * step

    assert find_company(quantised, FEATURES * np.linspace(1, 4, 70)[:, None], 1e-3) == "none"


def test_what_is_no_number_is_no_match() -> None:
    assert (
        find_company(lambda batch: masked(batch) * (1 if len(batch) == 1 else np.nan), FEATURES, 1) == "none"
    )
