"""Which windows of a block the trunk runs on, and what it weighs of what it hears."""

import numpy as np
import pytest

from diarization_service.sharing import FRAME_SAMPLES
from diarization_service.sharing import shared as shared_parts
from diarization_service.stages import Block

STEP, WINDOW, FRAMES = 16_000, 160_000, 125
MASK_FRAMES = 589


def block(windows: int, masks: np.ndarray | None = None) -> Block:
    samples = np.zeros(WINDOW + (windows - 1) * STEP, np.float32)
    if masks is None:
        masks = np.ones((windows, 3, MASK_FRAMES), np.float32)
    return Block(samples, tuple(window * STEP for window in range(windows)), masks)


def shared(block: Block, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the anchors start, and weights."""
    return shared_parts(block, stride, WINDOW)


def some_masks(windows: int) -> np.ndarray:
    return (np.random.default_rng(0).random((windows, 3, MASK_FRAMES)) < 0.4).astype(np.float32)


def test_a_window_by_itself_is_run_as_it_is() -> None:
    masks = some_masks(1)
    starts, weights = shared(block(1, masks), 1)
    np.testing.assert_array_equal(starts, [0])
    np.testing.assert_array_equal(weights[0, :, 0], masks[0][:, np.arange(FRAMES) * MASK_FRAMES // FRAMES])


def test_each_window_is_its_own_anchor_where_all_are_run() -> None:
    starts, weights = shared(block(5, some_masks(5)), 1)
    np.testing.assert_array_equal(starts, np.arange(5) * STEP)
    used = weights.any(axis=(1, 3))
    np.testing.assert_array_equal(used, np.eye(5, dtype=bool))


@pytest.mark.parametrize(
    ("windows", "starts"), [(20, [0, 1, 6, 7, 12, 13, 18, 19]), (4, [0, 1, 2, 3]), (1, [0])]
)
def test_of_each_phase_every_third_window_and_the_last_are_run(windows: int, starts: list[int]) -> None:
    found, _ = shared(block(windows), 3)
    np.testing.assert_array_equal(found, np.array(starts) * STEP)


@pytest.mark.parametrize("windows", [2, 4, 8, 19, 20])
def test_every_frame_of_a_mask_counts_once(windows: int) -> None:
    """Whichever anchors hear it: what each instant of the block weighs adds up to the mask there."""
    masks = some_masks(windows)
    starts, weights = shared(block(windows, masks), 3)
    for window in range(windows):
        found = np.zeros((3, FRAMES))
        for anchor, start in enumerate(starts.tolist()):
            offset = start - window * STEP
            heard = weights[window, :, anchor]
            if heard.any():
                assert offset % FRAME_SAMPLES == 0, "frames of another phase lie on other instants"
                own = np.arange(FRAMES) + offset // FRAME_SAMPLES
                inside = (own >= 0) & (own < FRAMES)
                assert not heard[:, ~inside].any()
                found[:, own[inside]] += heard[:, inside]
        expected = masks[window][:, np.arange(FRAMES) * MASK_FRAMES // FRAMES]
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_nearer_anchor_counts_for_more() -> None:
    _, weights = shared(block(20), 3)
    before, after = weights[2, 0, 0], weights[2, 0, 2]  # of windows 0 and 6
    assert before[60] > after[60 - 4 * 25 // 2] > 0


def test_anchors_that_nobody_speaks_in_are_not_run() -> None:
    masks = np.zeros((20, 3, MASK_FRAMES), np.float32)
    masks[19] = 1
    starts, weights = shared(block(20, masks), 3)
    np.testing.assert_array_equal(starts, [19 * STEP])
    assert weights[19].all()
    assert not weights[:19].any()


def test_a_silent_block_has_an_anchor_all_the_same() -> None:
    starts, weights = shared(block(3, np.zeros((3, 3, MASK_FRAMES), np.float32)), 1)
    assert len(starts) == 1
    assert not weights.any()
