"""A batch of features: every row as if it were alone, the rest filled."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from asr_service.engines.ort.features import KaldiFeatures, NemoFeatures, SherpaWhisperFeatures, stacked

LENGTHS = [16_000, 100, 0, 23_456, 8_000, 16_000, 79, 40_000]
FRONT_ENDS = {
    "icefall": KaldiFeatures(),
    "nemo": NemoFeatures(128),
    "whisper": SherpaWhisperFeatures(),
}


@pytest.fixture(params=FRONT_ENDS.values(), ids=FRONT_ENDS)
def front_end(request):
    return request.param


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    return [generator.normal(size=length).astype(np.float32) for length in LENGTHS]


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as executor:
        yield executor


def test_rows_are_the_utterances_own(front_end, batch, pool):
    features, lengths = stacked(front_end, batch, pool)
    assert features.shape == (len(batch), front_end.frames(max(LENGTHS)), front_end.bins)
    assert features.dtype == np.float32
    assert lengths.dtype == np.int64
    for row, length, samples in zip(features, lengths, batch, strict=True):
        np.testing.assert_array_equal(row[:length], front_end(samples))
        assert (row[length:] == np.float32(front_end.padding)).all()


def test_company_and_threads_change_nothing(front_end, batch, pool):
    features, lengths = stacked(front_end, batch, pool)
    with ThreadPoolExecutor(1) as alone:
        for _ in range(3):
            again, _ = stacked(front_end, batch[::-1], alone)
            np.testing.assert_array_equal(again[::-1], features)
    for row, length, samples in zip(features, lengths, batch, strict=True):
        single, _ = stacked(front_end, [samples], pool)
        np.testing.assert_array_equal(single[0], row[:length])


def test_rows_can_be_longer_than_any_utterance(front_end, batch, pool):
    features, lengths = stacked(front_end, batch, pool, frames=3000)
    expected, _ = stacked(front_end, batch, pool)
    longest = expected.shape[1]
    assert features.shape[1] == 3000
    assert lengths.max() == longest
    np.testing.assert_array_equal(features[:, :longest], expected)
    assert (features[:, longest:] == np.float32(front_end.padding)).all()


def test_channels_can_come_first(front_end, batch, pool):
    features, lengths = stacked(front_end, batch, pool, channels_first=True)
    expected, expected_lengths = stacked(front_end, batch, pool)
    assert features.flags.c_contiguous
    np.testing.assert_array_equal(features, expected.transpose(0, 2, 1))
    np.testing.assert_array_equal(lengths, expected_lengths)


def test_an_utterance_that_does_not_fit_is_refused(batch, pool):
    with pytest.raises(ValueError, match="an utterance has 250 frames, more than 249"):
        stacked(KaldiFeatures(), batch, pool, frames=249)


class Broken(KaldiFeatures):
    def __call__(self, samples):
        raise MemoryError("no room for the spectrum")


def test_what_goes_wrong_in_a_thread_is_told(batch, pool):
    with pytest.raises(MemoryError, match="no room for the spectrum"):
        stacked(Broken(), batch, pool)
