"""Dynamic time warping of many utterances at once, against one place after the other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_service.engines.ort.stages import Floats
from asr_service.engines.ort.whisper.warping import first_frames
from support.whisper_reference import first_frames as reference


@st.composite
def batches(draw: st.DrawFn) -> list[Floats]:
    """Costs of utterances, [frames, tokens] each."""
    shapes = draw(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 8)), min_size=1, max_size=5))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    ties = draw(st.booleans())
    return [
        (random.integers(-2, 3, shape) if ties else random.normal(size=shape)).astype(np.float32)
        for shape in shapes
    ]


@settings(deadline=None)
@given(batches())
def test_each_utterance_is_warped_as_if_alone(batch: list[Floats]) -> None:
    frames, tokens = (np.array([costs.shape[axis] for costs in batch]) for axis in (0, 1))
    padded = np.full((len(batch), frames.max(), tokens.max()), -9, np.float32)  # a lure
    for row, costs in zip(padded, batch, strict=True):
        row[: costs.shape[0], : costs.shape[1]] = costs
    found = first_frames(padded, frames, tokens)
    assert [row[:count].tolist() for row, count in zip(found, tokens, strict=True)] == [
        reference(costs.T) for costs in batch
    ]


def test_tokens_lie_where_they_are_cheapest() -> None:
    costs = np.zeros((1, 9, 3), np.float32)
    for token, frames in enumerate((slice(0, 2), slice(2, 7), slice(7, 9))):
        costs[0, frames, token] = -1
    assert first_frames(costs, np.array([9]), np.array([3])).tolist() == [[0, 2, 7]]


def test_more_tokens_than_frames_share_frames() -> None:
    found = first_frames(np.zeros((1, 2, 5), np.float32), np.array([2]), np.array([5]))
    assert found[0, 0] == 0
    assert (np.diff(found) >= 0).all()
    assert found.max() == 1


def test_a_batch_larger_than_is_warped_together_stays_in_order() -> None:
    costs = np.random.default_rng(0).normal(size=(80, 20, 6)).astype(np.float32)
    frames, tokens = np.full(80, 20), np.full(80, 6)
    assert first_frames(costs, frames, tokens).tolist() == [reference(row.T) for row in costs]
