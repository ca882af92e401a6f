"""Which windows a recording has, and how long its audio is kept."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from benchmarks.deterministic.written import GEOMETRY
from diarization_service.windows import Audio, all_windows, blocks, full_windows

SECOND = 16_000


@pytest.mark.parametrize(
    ("seconds", "full", "with_last"),
    [
        (0.0, 0, 0),
        (0.02, 0, 1),
        (9.99, 0, 1),
        (10.0, 1, 1),
        (10.5, 1, 2),
        (11.0, 2, 2),
        (11.01, 2, 3),
        (3600.0, 3591, 3591),
    ],
)
def test_full_windows_lie_at_the_step_and_a_last_one_holds_the_rest(
    seconds: float, full: int, with_last: int
) -> None:
    samples = round(seconds * SECOND)
    assert full_windows(samples, GEOMETRY) == full
    assert all_windows(samples, GEOMETRY) == with_last


@pytest.mark.parametrize("samples", [160_000 + 3 * 7_777, 160_000 + 3 * 7_777 + 1])
def test_steps_need_not_divide_a_window(samples: int) -> None:
    geometry = replace(GEOMETRY, step=7_777)
    starts = range(0, samples - geometry.window + 1, geometry.step)
    assert full_windows(samples, geometry) == len(starts)
    assert all_windows(samples, geometry) == len(starts) + (starts[-1] + geometry.window < samples)


def test_blocks_grow_from_one_that_is_heard_within_fifteen_seconds() -> None:
    assert list(islice(blocks(50), 6)) == [
        range(4),
        range(4, 12),
        range(12, 28),
        range(28, 60),
        range(60, 110),
        range(110, 160),
    ]
    assert list(islice(blocks(1), 3)) == [range(1), range(1, 2), range(2, 3)]


def test_samples_may_arrive_in_halves_and_are_zero_behind_the_last_one() -> None:
    audio = Audio()
    pcm = np.array([-32_768, 16_384, 1], "<i2").tobytes()
    for start in range(len(pcm)):
        audio.append(pcm[start : start + 1])
    assert audio.samples == 3
    np.testing.assert_array_equal(audio.read(1, 4), np.array([0.5, 1 / 32_768, 0, 0], np.float32))
    np.testing.assert_array_equal(audio.read(5, 2), [0, 0])


def test_dropped_samples_take_no_memory_and_the_others_keep_their_places() -> None:
    audio = Audio()
    audio.append(np.arange(100, dtype="<i2").tobytes())
    audio.drop(60)
    audio.drop(30)
    assert (audio.samples, audio.held) == (100, 40)
    np.testing.assert_array_equal(audio.read(60, 2) * 32_768, [60, 61])
    audio.drop(1000)
    assert (audio.samples, audio.held) == (100, 0)
