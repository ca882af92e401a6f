"""An utterance gives the same whatever stands beside it and behind it."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_service.engines.ort.stages import Search
from support.random_decoders import Floats
from support.reference_search import Found
from support.searches import CASES, Case, alike, rows

LONGEST, UTTERANCES = 40, 24

Alone = Callable[[int], Found]


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[int], int, int]:
    """Numbers of utterances, frames of padding behind the longest, and what the padding is made of."""
    members = draw(st.lists(st.integers(0, UTTERANCES - 1), min_size=1, max_size=12))
    return members, draw(st.integers(0, 20)), draw(st.integers(0, 9))


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def search(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Search:
    return case.load(tmp_path_factory.mktemp("decoder"))[0]


@pytest.fixture(scope="module")
def alone(case: Case, search: Search) -> Alone:
    @cache
    def found(number: int) -> Found:
        frames = utterance(case, number)
        (row,) = rows(search(case.encoded(frames[np.newaxis], [len(frames)])))
        return row

    return found


def utterance(case: Case, number: int) -> Floats:
    """Of 0 to `LONGEST` frames."""
    length = number * LONGEST // (UTTERANCES - 1)
    return case.decoder.frames(1, length, seed=number)[0]


# The same examples each time: where two tokens are equally likely up to rounding, either may win.
@settings(derandomize=True, deadline=None, max_examples=60)
@given(batch=batches())
def test_a_row_does_not_depend_on_its_neighbours(
    case: Case, search: Search, alone: Alone, batch: tuple[list[int], int, int]
) -> None:
    members, padding, filling = batch
    utterances = [utterance(case, number) for number in members]
    lengths = [len(frames) for frames in utterances]
    time = max(lengths) + padding
    frames = 10 * case.decoder.frames(len(members), max(time, 1), seed=1000 + filling)
    for row, own in zip(frames, utterances, strict=True):
        row[: len(own)] = own
    alike(rows(search(case.encoded(frames, lengths))), [alone(number) for number in members])
