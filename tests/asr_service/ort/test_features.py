"""Features are those of kaldi-native-fbank, of NeMo and of OpenAI's Whisper, within what single precision allows.

The bounds are about twice what was found. The largest differences are in bands that lie far below a frame's loudest, where
rounding of the whole frame's transform shows.
"""

import numpy as np
import pytest

from asr_service.engines.ort.features import (
    KaldiFeatures,
    NemoFeatures,
    OpenAiWhisperFeatures,
    SherpaNemoFeatures,
    SherpaWhisperFeatures,
)
from asr_service.engines.ort.features.filters import htk_filters, slaney_filters
from support import reference_features as reference

RATE = 16_000
NOISE = np.random.default_rng(0).normal(size=5 * RATE)
SIGNALS = {
    "noise": 0.1 * NOISE,
    "faint noise": 1e-4 * NOISE[:RATE],
    "clipped": np.sign(NOISE[:RATE]),
    "silence": np.zeros(RATE),
    "offset": np.full(RATE, 0.5),
    "less than a window": 0.1 * NOISE[:100],
    "one frame": 0.1 * NOISE[:80],
}
HARD_SIGNALS = {
    # Most bands hold nothing but what rounding leaves of others.
    "tone": 0.9 * np.sin(2 * np.pi * 440 / RATE * np.arange(RATE)),
    "faint noise on an offset": 0.5 + 1e-3 * NOISE[:RATE],
}


@pytest.fixture(scope="module", params=["speech", *SIGNALS])
def signal(request, sample):
    return sample if request.param == "speech" else SIGNALS[request.param].astype(np.float32)


@pytest.fixture(scope="module", params=HARD_SIGNALS)
def hard_signal(request):
    return HARD_SIGNALS[request.param].astype(np.float32)


def assert_close(found, expected, *, largest, mean):
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    difference = np.abs(found - expected)
    if not difference.size:
        return
    assert difference.max() <= largest
    assert difference.mean() <= mean


def test_icefalls_filterbank(signal):
    assert_close(KaldiFeatures()(signal), reference.Fbank()(signal), largest=1.5e-3, mean=1e-5)


def test_icefalls_filterbank_of_hard_signals(hard_signal):
    assert_close(KaldiFeatures()(hard_signal), reference.Fbank()(hard_signal), largest=1e-2, mean=1e-4)


@pytest.mark.parametrize("ctc", [False, True])
@pytest.mark.parametrize("bins", [80, 128])
def test_sherpas_nemo_without_normalization(signal, bins, ctc):
    found = SherpaNemoFeatures(bins, ctc=ctc, normalize=False)(signal)
    assert_close(found, reference.sherpa_nemo(bins, ctc=ctc)(signal), largest=4e-4, mean=2e-6)


def test_sherpas_nemo_of_hard_signals(hard_signal):
    found = SherpaNemoFeatures(80, ctc=False, normalize=False)(hard_signal)
    assert_close(found, reference.sherpa_nemo(80, ctc=False)(hard_signal), largest=3e-4, mean=1e-5)


@pytest.mark.parametrize("bins", [80, 128])
def test_nemos_own_without_normalization(signal, bins):
    found = NemoFeatures(bins, normalize=False)(signal)
    assert_close(found, reference.nemo(signal, bins), largest=3e-4, mean=2e-6)


def test_nemos_own_of_hard_signals(hard_signal):
    found = NemoFeatures(80, normalize=False)(hard_signal)
    assert_close(found, reference.nemo(hard_signal, 80), largest=3e-4, mean=2e-5)


@pytest.mark.parametrize("bins", [80, 128])
def test_nemos_own_normalization_divides_by_one_frame_less(sample, bins):
    logarithms = reference.nemo(sample, bins).astype(np.float64)
    expected = (logarithms - logarithms.mean(axis=0)) / (logarithms.std(axis=0, ddof=1) + 1e-5)
    assert_close(NemoFeatures(bins)(sample), expected, largest=2e-3, mean=1.5e-5)


@pytest.mark.parametrize(
    "front_end", [NemoFeatures(80), SherpaNemoFeatures(80, ctc=True, normalize=True)], ids=["own", "sherpa"]
)
def test_a_single_frame_is_the_mean(front_end):
    features = front_end(NOISE[:160].astype(np.float32))
    assert features.shape == (1, 80)
    assert not features.any()


@pytest.mark.parametrize("bins", [80, 128])
def test_sherpas_whisper(signal, bins):
    front_end = SherpaWhisperFeatures(bins)
    heard = front_end.heard(len(signal))
    found = front_end(signal)
    assert_close(found[:heard], reference.sherpa_whisper(signal, bins)[:heard], largest=5e-4, mean=1e-6)
    assert len(found) == min(heard + 1000, 3000)
    assert not found[heard:].any()


def test_sherpas_whisper_of_hard_signals(hard_signal):
    found = SherpaWhisperFeatures(80, tail=0)(hard_signal)
    assert_close(found, reference.sherpa_whisper(hard_signal, 80), largest=2e-3, mean=1e-4)


@pytest.mark.parametrize("bins", [80, 128])
def test_openais_whisper(signal, bins):
    found = OpenAiWhisperFeatures(bins)(signal)
    assert_close(found, reference.openai_whisper(signal, bins), largest=5e-5, mean=2e-7)


@pytest.mark.parametrize("bins", [64, 80, 128])
def test_filters(bins):
    librosa = reference.Fbank(bins, low=0, high=0, librosa=True)
    np.testing.assert_array_equal(slaney_filters(bins, 512, 8000), librosa.filters())
    low = reference.Fbank(bins, low=0, high=-400, librosa=True)
    np.testing.assert_array_equal(slaney_filters(bins, 512, 7600), low.filters())


def test_icefalls_filters():
    np.testing.assert_allclose(htk_filters(80, 512, 20, 7600), reference.Fbank().filters(), atol=1e-6)


def test_filters_are_made_once():
    assert slaney_filters(80, 400, 8000) is slaney_filters(80, 400, 8000)
    with pytest.raises(ValueError, match="read-only"):
        slaney_filters(80, 400, 8000)[0] = 1


@pytest.mark.parametrize("bins", [80, 128])
def test_sherpas_nemo_ctc_is_nemos_own_half_a_frame_later(sample, bins):
    late = np.append(np.zeros(80, np.float32), sample)
    found = SherpaNemoFeatures(bins, ctc=True, normalize=True)
    own = NemoFeatures(bins)(sample)
    assert np.abs(found(late)[: len(own)] - own).mean() < 0.02
    assert np.abs(found(sample)[: len(own)] - own).mean() > 0.2
