"""Cutting: every voiced sample in exactly one utterance, in order, within bounds, whatever the chunks."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_service.utterances import CutOptions, Pcm, Utterance, UtteranceCutter
from asr_service.vad import Activity, Region
from serving.times import SAMPLE_RATE

OPTIONS = CutOptions(window=10.0, first_speech=2.0, long_pause=1.5, padding=0.15)
PADDING = round(OPTIONS.padding * SAMPLE_RATE)
LEAST = 2000  # samples that voice activity detection needs before it is sure


def seconds(*spans: tuple[float, float]) -> list[Region]:
    return [Region(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)) for start, end in spans]


def told(regions: Sequence[Region], position: int, told_until: int) -> Activity:
    """What a detector that lags by LEAST samples says at `position`, after it was last asked at `told_until`."""
    ended = tuple(region for region in regions if told_until < region.end + LEAST <= position)
    speaking = next(
        (region for region in regions if region.start + LEAST <= position < region.end + LEAST), None
    )
    return Activity(ended, speaking.start if speaking else None, max(0, position - LEAST))


def cut(samples: Pcm, regions: Sequence[Region], sizes: Sequence[int], options: CutOptions = OPTIONS):
    cutter = UtteranceCutter(options)
    utterances: list[Utterance] = []
    position = turn = 0
    while position < len(samples):
        block = samples[position : position + sizes[turn % len(sizes)]]
        utterances += cutter.accept(block, told(regions, position + len(block), position))
        position, turn = position + len(block), turn + 1
    rest = tuple(region for region in regions if region.end + LEAST > len(samples))
    return utterances + cutter.finish(Activity(rest, None, len(samples)))


def recording(length: int, seed: int = 0) -> Pcm:
    return np.random.default_rng(seed).integers(-3000, 3000, length, dtype=np.int16)


@st.composite
def voiced(draw: st.DrawFn) -> tuple[int, list[Region]]:
    """A recording's length and the regions in it, some of them much longer than the window."""
    position, regions = 0, []
    for _ in range(draw(st.integers(0, 8))):
        start = position + draw(st.integers(0, 50_000))
        position = start + draw(st.one_of(st.integers(1, 60_000), st.integers(150_000, 420_000)))
        regions.append(Region(start, position))
    return position + draw(st.integers(0, 40_000)), regions


@given(voiced(), st.lists(st.integers(500, 60_000), min_size=1, max_size=4), st.integers(0, 3))
def test_every_voiced_sample_is_in_exactly_one_utterance(
    picture: tuple[int, list[Region]], sizes: list[int], seed: int
) -> None:
    length, regions = picture
    samples = recording(length, seed)
    utterances = cut(samples, regions, sizes)
    owners = np.zeros(length, int)
    for utterance in utterances:
        owners[utterance.start : utterance.end] += 1
        assert np.array_equal(utterance.samples, samples[utterance.start : utterance.end])
        assert len(utterance.samples) <= OPTIONS.longest * SAMPLE_RATE
        assert all(utterance.start <= r.start < r.end <= utterance.end for r in utterance.regions)
    assert owners.max(initial=0) <= 1
    assert all(owners[region.start : region.end].all() for region in regions)
    assert all(before.end <= after.start for before, after in pairwise(utterances))
    assert sum(r.length for u in utterances for r in u.regions) == sum(r.length for r in regions)


@given(voiced(), st.lists(st.integers(500, 60_000), min_size=1, max_size=4))
def test_cuts_depend_on_the_audio_only(picture: tuple[int, list[Region]], sizes: list[int]) -> None:
    length, regions = picture
    samples = recording(length)

    def bounds(sizes: list[int]) -> list[tuple[int, int, tuple[Region, ...]]]:
        return [(u.start, u.end, u.regions) for u in cut(samples, regions, sizes)]

    assert bounds(sizes) == bounds([length + 1])


def test_the_first_is_short_and_the_others_are_joined() -> None:
    regions = seconds((1, 3.5), (4, 6), (6.5, 8), (8.5, 12), (12.4, 15))
    utterances = cut(recording(16 * SAMPLE_RATE), regions, [1600])
    assert [utterance.regions for utterance in utterances] == [
        (regions[0],),
        tuple(regions[1:4]),
        (regions[4],),
    ]


def test_padding_surrounds_speech_without_overlap() -> None:
    utterances = cut(recording(16 * SAMPLE_RATE), seconds((1, 4), (4.2, 6), (9, 10)), [1600])
    bounds = [bound / SAMPLE_RATE for u in utterances for bound in (u.start, u.end)]
    assert bounds == pytest.approx([0.85, 4.15, 4.15, 6.15, 8.85, 10.15])


def test_padding_ends_with_the_recording() -> None:
    (utterance,) = cut(recording(2 * SAMPLE_RATE), seconds((0.1, 2.0)), [1600])
    assert (utterance.start, utterance.end) == (0, 2 * SAMPLE_RATE)


def test_a_long_pause_closes_before_more_is_heard() -> None:
    cutter = UtteranceCutter(OPTIONS)
    (region,) = seconds((1, 2))
    assert cutter.accept(recording(40_000), told([region], 40_000, 0)) == []
    (utterance,) = cutter.accept(recording(40_000), told([region], 80_000, 40_000))
    assert utterance.regions == (region,)


def test_endless_speech_is_cut_at_its_quietest_spot_while_it_goes_on() -> None:
    samples = recording(14 * SAMPLE_RATE)
    samples[7 * SAMPLE_RATE : round(7.15 * SAMPLE_RATE)] = 0
    cutter = UtteranceCutter(OPTIONS)
    (utterance,) = cutter.accept(samples, Activity((), 0, 11 * SAMPLE_RATE))
    assert utterance.end / SAMPLE_RATE == pytest.approx(7.075, abs=0.06)


def test_memory_holds_no_more_than_the_utterance_in_the_making() -> None:
    cutter = UtteranceCutter(OPTIONS)
    for second in range(1, 300):
        cutter.accept(recording(SAMPLE_RATE), Activity((), 0, second * SAMPLE_RATE))
        assert second * SAMPLE_RATE - cutter.undecided_from <= 11 * SAMPLE_RATE


def test_silence_is_forgotten() -> None:
    cutter = UtteranceCutter(OPTIONS)
    for second in range(1, 100):
        cutter.accept(recording(SAMPLE_RATE), Activity((), None, second * SAMPLE_RATE - LEAST))
    assert cutter.undecided_from == 99 * SAMPLE_RATE - LEAST - PADDING
