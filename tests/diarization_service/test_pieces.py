"""How a batch is cut into pieces that all look alike to a GPU."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarization_service.pieces import Shape, without_filling
from diarization_service.stages import Windows, joined

WINDOW, STEP = 10, 1


def neighbours(count: int, first: int = 0) -> Windows:
    """Samples that say where they lie."""
    return Windows(np.arange(first, first + WINDOW + count - 1, dtype=np.float32), tuple(range(count)))


@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=5), most=st.integers(1, 8))
def test_every_window_is_in_one_piece_of_the_one_shape(counts: list[int], most: int) -> None:
    shape = Shape(most, WINDOW, WINDOW + 2 * most * STEP)
    recordings = [neighbours(count, 100 * place) for place, count in enumerate(counts)]
    windows = joined(recordings)
    found = []
    for part in shape.parts(windows):
        samples, starts = shape.piece(windows, part)
        assert (len(samples), len(starts)) == (shape.reach, most)
        found += [samples[start : start + WINDOW].tolist() for start in starts[: part.stop - part.start]]
    assert found == [
        recording.samples[start : start + WINDOW].tolist()
        for recording in recordings
        for start in recording.starts
    ]


def test_pieces_are_as_long_as_their_audio_where_shapes_do_not_matter() -> None:
    windows, shape = neighbours(5), Shape(3, WINDOW, None)
    sizes = [tuple(map(len, shape.piece(windows, part))) for part in shape.parts(windows)]
    assert sizes == [(WINDOW + 2, 3), (WINDOW + 1, 2)]


@pytest.mark.parametrize(("reach", "rows"), [(WINDOW, 3), (None, 2)])
def test_what_goes_with_windows_is_filled_up_with_them(reach: int | None, rows: int) -> None:
    filled = Shape(3, WINDOW, reach).filled(np.ones((2, 4), np.float32))
    assert filled.shape == (rows, 4)
    assert filled[:2].all()
    assert not filled[2:].any()


def test_filling_is_taken_off_again() -> None:
    found = without_filling([np.arange(4), np.arange(4)], [slice(0, 4), slice(4, 5)])
    assert [one.tolist() for one in found] == [[0, 1, 2, 3], [0]]
