"""What holds for all features, whatever the sound."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_service.engines.ort.features import (
    KaldiFeatures,
    NemoFeatures,
    OpenAiWhisperFeatures,
    SherpaNemoFeatures,
    SherpaWhisperFeatures,
)

RATE = 16_000
FRONT_ENDS = {
    "icefall": KaldiFeatures(),
    "nemo": NemoFeatures(80),
    "sherpa-nemo": SherpaNemoFeatures(128, ctc=False, normalize=True),
    "sherpa-nemo-ctc": SherpaNemoFeatures(80, ctc=True, normalize=False),
    "sherpa-whisper": SherpaWhisperFeatures(),
    "openai-whisper": OpenAiWhisperFeatures(128),
}
every_front_end = pytest.mark.parametrize("front_end", FRONT_ENDS.values(), ids=FRONT_ENDS)


@st.composite
def sounds(draw, shortest=0, longest=RATE // 2):
    """Noise of any loudness and length, which begins and ends anywhere in silence."""
    size = draw(st.integers(shortest, longest))
    noise = np.random.default_rng(draw(st.integers(0, 2**32))).uniform(-1, 1, size)
    noise[: draw(st.integers(0, size))] = 0
    noise[draw(st.integers(0, size)) :] = 0
    return (noise * 10 ** draw(st.floats(-6, 0))).astype(np.float32)


@every_front_end
@settings(max_examples=30, deadline=None)
@given(samples=sounds())
def test_there_are_as_many_frames_as_were_said(front_end, samples):
    features = front_end(samples)
    assert features.shape == (front_end.frames(len(samples)), front_end.bins)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


@every_front_end
@settings(max_examples=30, deadline=None)
@given(shorter=st.integers(0, 40 * RATE), more=st.integers(0, RATE))
def test_longer_sound_has_no_fewer_frames(front_end, shorter, more):
    assert front_end.frames(shorter) <= front_end.frames(shorter + more)


@every_front_end
def test_the_samples_stay_as_they_are(front_end):
    samples = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    before = samples.copy()
    front_end(samples)
    np.testing.assert_array_equal(samples, before)


@settings(max_examples=50, deadline=None)
@given(samples=sounds(shortest=400), silence=st.integers(1, RATE))
@pytest.mark.parametrize(
    ("front_end", "reach"),
    [
        pytest.param(KaldiFeatures(), 280, id="icefall"),
        pytest.param(SherpaNemoFeatures(80, ctc=True, normalize=False), 280, id="sherpa-nemo-ctc"),
        pytest.param(NemoFeatures(80, normalize=False), 200, id="nemo"),
    ],
)
def test_silence_behind_leaves_frames_before_it_alone(front_end, reach, samples, silence):
    """`reach` samples from its place on, a frame ends."""
    whole = max(0, (len(samples) - reach) // 160 + 1)
    longer = front_end(np.append(samples, np.zeros(silence, np.float32)))
    np.testing.assert_allclose(longer[:whole], front_end(samples)[:whole], rtol=0, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(samples=sounds(), silence=st.integers(1, 28 * RATE))
def test_openais_whisper_takes_silence_behind_for_its_own(samples, silence):
    front_end = FRONT_ENDS["openai-whisper"]
    longer = np.append(samples, np.zeros(silence, np.float32))
    np.testing.assert_allclose(front_end(longer), front_end(samples), rtol=0, atol=1e-5)


def test_openais_whisper_is_deaf_after_half_a_minute():
    noise = np.random.default_rng(0).normal(size=31 * RATE).astype(np.float32)
    front_end = FRONT_ENDS["openai-whisper"]
    np.testing.assert_array_equal(front_end(noise), front_end(noise[: 30 * RATE]))


def test_sherpas_whisper_keeps_half_a_second_of_silence():
    noise = np.random.default_rng(0).normal(size=40 * RATE).astype(np.float32)
    features = FRONT_ENDS["sherpa-whisper"](noise)
    assert len(features) == 3000
    assert features[2949].any()
    assert not features[2950:].any()


@pytest.mark.parametrize("samples", [0, 79, RATE, 29 * RATE])
def test_sherpas_whisper_can_be_given_as_many_frames_as_it_was_trained_on(samples):
    front_end = SherpaWhisperFeatures(tail=3000)
    assert front_end.frames(samples) == len(front_end(np.ones(samples, np.float32))) == 3000


@settings(max_examples=30, deadline=None)
@given(samples=sounds(shortest=400), doublings=st.integers(1, 10))
def test_loudness_adds_to_logarithms(samples, doublings):
    """Where the floor lets them be; twice as loud is four times the power."""
    quiet, loud = KaldiFeatures()(samples), KaldiFeatures()(samples * np.float32(2**doublings))
    above = quiet > np.log(np.finfo(np.float32).eps)
    np.testing.assert_allclose(loud[above], quiet[above] + doublings * np.log(4), rtol=0, atol=1e-5)
    assert (loud >= quiet).all()


@every_front_end
def test_memory_stays_within_some_copies_of_the_sound(front_end):
    """Frames overlap, so all of their spectra at once would be nine times the sound."""
    samples = np.random.default_rng(0).normal(size=80 * RATE).astype(np.float32)
    tracemalloc.start()
    front_end(samples)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * samples.nbytes
