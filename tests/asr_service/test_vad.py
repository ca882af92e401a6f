"""Voice activity: exact positions that depend on the audio only."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_service.engines.base import Samples
from asr_service.vad import Region, VadOptions, VoiceActivityDetector, silero
from serving.errors import ModelUnavailable
from serving.models.store import ModelStore
from serving.times import SAMPLE_RATE
from support.recognition import VAD, detector


def blocks(samples: Samples, sizes: list[int]) -> Iterator[Samples]:
    position, turn = 0, 0
    while position < len(samples):
        yield samples[position : position + sizes[turn % len(sizes)]]
        position += sizes[turn % len(sizes)]
        turn += 1


def heard(detector: VoiceActivityDetector, samples: Samples, sizes: list[int]) -> list[Region]:
    """All regions; checks on the way that what was called settled stays true."""
    found: list[Region] = []
    settled, open_since = 0, None
    activities = [*map(detector.accept, blocks(samples, sizes)), detector.finish()]
    for activity in activities:
        for index, region in enumerate(activity.regions):
            continues = index == 0 and open_since == region.start
            assert continues or region.start >= settled, "a region began where all had been settled"
            assert not continues or region.end >= settled, "a region ended before it was said to last"
        found.extend(activity.regions)
        assert activity.settled >= settled
        settled, open_since = activity.settled, activity.speaking_since
    return found


def loud(*spans: tuple[float, float], seconds: float) -> Samples:
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    for start, end in spans:
        samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = 0.5
    return samples


def test_finds_speech_where_it_is() -> None:
    found = heard(detector(), loud((1.0, 2.0), (3.0, 3.5), seconds=5), [16_000])
    bounds = [bound / SAMPLE_RATE for region in found for bound in (region.start, region.end)]
    assert bounds == pytest.approx([1.0, 2.0, 3.0, 3.5], abs=0.1)


def test_speech_at_the_end_ends_with_the_recording() -> None:
    (region,) = heard(detector(), loud((1.0, 2.013), seconds=2.013), [333])
    assert region.end == round(2.013 * SAMPLE_RATE)


@pytest.mark.parametrize("seconds", [0.0, 1 / SAMPLE_RATE, 0.01, 3.0])
def test_silence_holds_no_regions(seconds: float) -> None:
    assert heard(detector(), loud(seconds=seconds), [1000]) == []


@given(
    edges=st.lists(st.integers(1, 12_000), max_size=14),
    sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=5),
)
def test_regions_depend_on_the_audio_only(edges: list[int], sizes: list[int]) -> None:
    samples = np.concatenate(
        [np.zeros(0), *(np.full(length, 0.5 * (index % 2)) for index, length in enumerate(edges))]
    ).astype(np.float32)
    found = heard(detector(), samples, sizes)
    assert found == heard(detector(), samples, [len(samples) + 1])
    assert all(region.length > 0 for region in found)
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))
    assert all(region.start >= 0 and region.end <= len(samples) for region in found)


@pytest.fixture(scope="module")
def silero_detector() -> Callable[[], VoiceActivityDetector]:
    options = VadOptions(threshold=0.5, min_speech=0.1, min_silence=0.1)
    return silero(ModelStore().path("silero-vad") / "silero_vad.onnx", options)


@pytest.mark.models
def test_silero_hears_a_conversation(
    silero_detector: Callable[[], VoiceActivityDetector], sample: Samples
) -> None:
    """The first word of the sample begins at 6.68 s."""
    found = heard(silero_detector(), sample, [16_000])
    assert found[0].start / SAMPLE_RATE == pytest.approx(6.68, abs=0.15)
    assert sum(region.length for region in found) / SAMPLE_RATE == pytest.approx(22.5, abs=1.0)


@pytest.mark.models
@pytest.mark.parametrize("sizes", [[480_000], [511, 513], [16_000, 1, 7]])
def test_silero_does_not_mind_the_chunks(
    silero_detector: Callable[[], VoiceActivityDetector], sample: Samples, sizes: list[int]
) -> None:
    assert heard(silero_detector(), sample, sizes) == heard(silero_detector(), sample, [16_000])


@pytest.mark.parametrize("content", [None, b"", b"not a model", b"\x0a\x02\x08\x01"])
def test_a_wrong_file_is_refused_before_it_ends_the_process(tmp_path, content: bytes | None) -> None:
    path = tmp_path / "silero_vad.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="duoscribe models pull silero-vad"):
        silero(path, VAD)
