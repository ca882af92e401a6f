"""What sherpa-onnx feeds models is what the front ends compute: its settings, its edges, its normalisation."""

import numpy as np
import pytest

from asr_service.engines.ort.features import KaldiFeatures, SherpaNemoFeatures, SherpaWhisperFeatures
from support import fed_features
from support.fed_features.sherpa import Bounds

LOGARITHMS, NORMALIZED, WHISPER = Bounds(-17, 10), Bounds(-10, 10), Bounds(-2, 3)
"""Of probabilities a millionth of this range can be read; token numbers tell `STEPS` values apart."""

BANDS = [0, 40, 79]


@pytest.fixture(scope="module")
def speech(sample):
    """Not a whole number of frames."""
    return sample[48_000:64_037]


def half_a_step(bounds):
    return 0.6 * bounds.width / (fed_features.STEPS - 1)


def test_icefall_transducers(speech, tmp_path):
    fed = fed_features.transducer(speech, LOGARITHMS, tmp_path)
    np.testing.assert_allclose(KaldiFeatures()(speech), fed, rtol=0, atol=3e-5)


@pytest.mark.parametrize("band", BANDS)
def test_zipformer_ctc(speech, band, tmp_path):
    fed = fed_features.zipformer_ctc(speech, LOGARITHMS, tmp_path, band=band)
    np.testing.assert_allclose(KaldiFeatures()(speech)[:, band], fed, rtol=0, atol=half_a_step(LOGARITHMS))


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("normalize", ["", "NA"])
def test_nemo_transducers_without_normalization(speech, bins, normalize, tmp_path):
    fed = fed_features.nemo_transducer(speech, LOGARITHMS, tmp_path, bins=bins, normalize=normalize)
    found = SherpaNemoFeatures(bins, ctc=False, normalize=False)(speech)
    np.testing.assert_allclose(found, fed, rtol=0, atol=3e-5)


@pytest.mark.parametrize("bins", [80, 128])
def test_nemo_transducers_with_normalization_to_the_order_of_additions(sample, bins, tmp_path):
    """With exact means the difference would be ten times as large."""
    speech = sample[: 5 * 16_000]
    fed = fed_features.nemo_transducer(speech, NORMALIZED, tmp_path, bins=bins, normalize="per_feature")
    difference = np.abs(SherpaNemoFeatures(bins, ctc=False, normalize=True)(speech) - fed)
    assert difference.mean() < 5e-6
    assert difference.max() < 1e-3


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize(("normalize", "bounds"), [("per_feature", NORMALIZED), ("NA", LOGARITHMS)])
def test_nemo_ctc(speech, band, normalize, bounds, tmp_path):
    fed = fed_features.nemo_ctc(speech, bounds, tmp_path, band=band, normalize=normalize)
    found = SherpaNemoFeatures(80, ctc=True, normalize=normalize == "per_feature")(speech)
    np.testing.assert_allclose(found[:, band], fed, rtol=0, atol=half_a_step(bounds))


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("seconds", [4, 25, 29.6])
def test_whisper_with_its_tail(sample, bins, seconds, tmp_path):
    samples = sample[: round(seconds * 16_000)]
    front_end = SherpaWhisperFeatures(bins)
    found, heard = front_end(samples), front_end.heard(len(samples))
    frames = [0, 1, heard - 1, heard, len(found) - 1, *range(2, heard, heard // 15)]
    places = [(frame, number * 7 % bins) for number, frame in enumerate(frames)]
    length, fed = fed_features.whisper(samples, WHISPER, tmp_path, places=places, bins=bins)
    assert length == len(found) == front_end.frames(len(samples))
    assert len(fed) == len(places)
    np.testing.assert_allclose([found[place] for place in places], fed, rtol=0, atol=half_a_step(WHISPER))
