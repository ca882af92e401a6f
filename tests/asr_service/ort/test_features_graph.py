"""The graph that a GPU computes features by gives what NumPy's front ends give, whatever the batch."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest

from asr_service.engines.ort.features import (
    GraphFeatures,
    KaldiFeatures,
    NemoFeatures,
    NumpyFeatures,
    OpenAiWhisperFeatures,
    SherpaNemoFeatures,
    SherpaWhisperFeatures,
)
from asr_service.engines.ort.features.graph import compose
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.stages import Part

RATE = 16_000
FRONT_ENDS = {
    "icefall": KaldiFeatures(),
    "icefall-conformer": KaldiFeatures(padding=0.0),
    "nemo": NemoFeatures(128),
    "nemo-plain": NemoFeatures(80, normalize=False),
    "sherpa-nemo": SherpaNemoFeatures(128, ctc=False, normalize=True),
    "sherpa-nemo-ctc": SherpaNemoFeatures(80, ctc=True, normalize=True),
    "sherpa-nemo-plain": SherpaNemoFeatures(80, ctc=True, normalize=False),
    "sherpa-whisper": SherpaWhisperFeatures(),
    "sherpa-whisper-window": SherpaWhisperFeatures(128, tail=3000),
    "openai-whisper": OpenAiWhisperFeatures(),
}
NORMALIZED = {"nemo", "sherpa-nemo", "sherpa-nemo-ctc"}
SECONDS = [0.5, 0.505, 0.731, 1.0, 2.2, 3.3333, 4.99, 7.5, 12.01, 29.48, 30.0]
ODD = [0, 1, 79, 80, 100, 119, 199, 200, 201, 399]
ON_CUDA = {
    *("Add", "Cast", "Concat", "Div", "Identity", "Log", "MatMul", "Max", "Mul", "ReduceMax"),
    *("Reshape", "Slice", "Sqrt", "Sub", "Transpose", "Where"),
}
"""Have CUDA kernels for floats and doubles in ONNX Runtime 1.17 to 1.31 (docs/OperatorKernels.md)."""


@pytest.fixture(params=FRONT_ENDS)
def name(request):
    return request.param


@pytest.fixture
def front_end(name):
    return FRONT_ENDS[name]


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def utterances(sample):
    """Of real speech, each from another place."""
    lengths = [round(seconds * RATE) for seconds in SECONDS]
    return [np.roll(sample, -3710 * place)[:length] for place, length in enumerate(lengths)]


def computed(features, batch, longest=None, parts=None):
    """All parts, without their filling, and how many frames are an utterance's own."""
    parts = parts or [Part(len(batch), len(batch))]
    found = list(features(batch, longest).parts(parts))
    rows = [np.asarray(value if isinstance(value, np.ndarray) else value.numpy()) for value, _ in found]
    for part, value, (_, lengths) in zip(parts, rows, found, strict=True):
        assert len(value) == len(lengths) == part.rows
    lengths = [said[: part.utterances] for part, (_, said) in zip(parts, found, strict=True)]
    values = [value[: part.utterances] for part, value in zip(parts, rows, strict=True)]
    return np.concatenate(values), np.concatenate(lengths)


def assert_alike(name, found, expected):
    """Bounds are about three times what was found. The largest are in bands that lie far below a frame's loudest.

    Those of normalised features come from NumPy's sums, which are sherpa-onnx's.
    """
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    difference = np.abs(found - expected)
    largest, most, mean = (1e-2, 2e-3, 3e-5) if name in NORMALIZED else (2e-3, 3e-4, 3e-6)
    assert difference.max() <= largest
    assert np.quantile(difference, 0.999) <= most
    assert difference.mean() <= mean


def test_features_are_those_of_numpy(name, front_end, utterances, pool):
    expected, lengths = computed(NumpyFeatures(front_end, pool), utterances)
    for doubles in (False, True):
        found, said = computed(GraphFeatures(front_end, Placement(), pool, doubles=doubles), utterances)
        np.testing.assert_array_equal(said, lengths)
        assert_alike(name, found, expected)


def test_bands_can_come_first(name, front_end, utterances, pool):
    expected, _ = computed(NumpyFeatures(front_end, pool, channels_first=True), utterances[:4])
    found, _ = computed(GraphFeatures(front_end, Placement(), pool, channels_first=True), utterances[:4])
    assert_alike(name, found, expected)


def test_sound_shorter_than_windows(name, front_end, sample, pool):
    batch = [sample[RATE : RATE + length] for length in ODD]
    expected, lengths = computed(NumpyFeatures(front_end, pool), batch)
    found, said = computed(GraphFeatures(front_end, Placement(), pool), batch)
    np.testing.assert_array_equal(said, lengths)
    assert_alike(name, found, expected)


@pytest.mark.parametrize("samples", ["offset", "clipped", "faint"])
def test_other_sounds(name, front_end, samples, pool):
    noise = np.random.default_rng(0).normal(size=2 * RATE)
    sounds = {
        "offset": 0.5 + 0.1 * noise,
        "clipped": np.sign(noise),
        "faint": 1e-3 * noise,
    }
    batch = [sounds[samples].astype(np.float32)[:length] for length in (2 * RATE, RATE)]
    expected, _ = computed(NumpyFeatures(front_end, pool), batch)
    found, _ = computed(GraphFeatures(front_end, Placement(), pool), batch)
    assert_alike(name, found, expected)


def test_silence(name, front_end, pool):
    """Normalised, sherpa-onnx's and so NumPy's is up to 0.5, which rounding leaves of its sums; the graph's is zero."""
    batch = [np.zeros(length, np.float32) for length in (2 * RATE, RATE)]
    found, lengths = computed(GraphFeatures(front_end, Placement(), pool), batch)
    expected, _ = computed(NumpyFeatures(front_end, pool), batch)
    assert_alike(name, found, 0 * expected if name in NORMALIZED else expected)
    assert lengths.min() > 0


def test_company_and_padding_change_nothing(front_end, utterances, pool):
    features = GraphFeatures(front_end, Placement(), pool)
    together, lengths = computed(features, utterances[:6], longest=6 * RATE)
    backwards, _ = computed(features, utterances[5::-1], longest=6 * RATE)
    np.testing.assert_allclose(backwards[::-1], together, rtol=0, atol=2e-5)
    for utterance, row, length in zip(utterances, together, lengths, strict=False):
        alone, _ = computed(features, [utterance])
        np.testing.assert_allclose(row[:length], alone[0], rtol=0, atol=2e-4)
        if front_end.heard(len(utterance)) == length:
            assert (row[length:] == np.float32(front_end.padding)).all()


def test_parts_and_runs_change_nothing(front_end, utterances, pool):
    batch = [*utterances[:8], utterances[5]]
    expected, lengths = computed(GraphFeatures(front_end, Placement(), pool), batch)
    in_runs = GraphFeatures(front_end, Placement(), pool, at_once=20 * RATE)
    found, said = computed(in_runs, batch, parts=[Part(4, 4), Part(3, 3), Part(2, 5)])
    np.testing.assert_array_equal(said, lengths)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_the_last_utterance_fills_a_part(utterances, pool):
    features = GraphFeatures(KaldiFeatures(), Placement(), pool)
    ((rows, lengths),) = features(utterances[:2]).parts([Part(2, 4)])
    found = rows.numpy()
    np.testing.assert_array_equal(lengths[1:], [lengths[1]] * 3)
    np.testing.assert_array_equal(found[2:], found[[1, 1]])


def test_nothing_is_left_of_the_batch_before(front_end, utterances, pool):
    """Memory is used again."""
    fresh = GraphFeatures(front_end, Placement(), pool)
    used = GraphFeatures(front_end, Placement(), pool)
    expected, _ = computed(fresh, utterances[:3])
    computed(used, [np.full(20 * RATE, np.inf, np.float32)] * 2)
    found, _ = computed(used, utterances[:3])
    np.testing.assert_array_equal(found, expected)


class Noting:
    """Stands in for a session, and says when a run begins."""

    def __init__(self, session):
        self._session = session
        self.runs = [threading.Event() for _ in range(3)]

    def run(self, *inputs, **how):
        next(run for run in self.runs if not run.is_set()).set()
        return self._session.run(*inputs, **how)

    def __getattr__(self, name):
        return getattr(self._session, name)


def test_a_part_is_computed_while_the_one_before_is_used(utterances, pool):
    features = GraphFeatures(KaldiFeatures(), Placement(), pool)
    features.session = noting = Noting(features.session)
    parts = features(utterances[:3]).parts([Part(1, 1)] * 3)
    next(parts)
    assert noting.runs[1].wait(timeout=60)
    assert not noting.runs[2].is_set(), "no further ahead: memory stays in bounds"
    assert len(list(parts)) == 2


def test_batches_of_many_threads(utterances):
    """More of them than threads that put samples together."""
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(8) as callers:
        features = GraphFeatures(KaldiFeatures(), Placement(), pool, at_once=2 * RATE)
        batches = [utterances[first : first + 3] for first in range(5)] * 4
        parts = [Part(2, 2), Part(1, 1)]
        found = callers.map(lambda batch: computed(features, batch, parts=parts), batches)
        for batch, (values, lengths) in zip(batches, found, strict=True):
            for samples, value, length in zip(batch, values, lengths, strict=True):
                np.testing.assert_allclose(value[:length], KaldiFeatures()(samples), rtol=0, atol=2e-3)


def test_the_samples_stay_as_they_are(front_end, utterances, pool):
    batch = utterances[:4]
    before = [samples.copy() for samples in batch]
    computed(GraphFeatures(front_end, Placement(), pool), batch)
    for samples, copy in zip(batch, before, strict=True):
        np.testing.assert_array_equal(samples, copy)


@pytest.mark.parametrize("computes", [NumpyFeatures, GraphFeatures])
def test_an_utterance_that_does_not_fit_is_refused(computes, utterances, pool):
    where = () if computes is NumpyFeatures else (Placement(),)
    with pytest.raises(ValueError, match="an utterance has 100 frames, more than 99"):
        computes(KaldiFeatures(), *where, pool)([np.zeros(RATE, np.float32)], longest=99 * 160)


class Broken(KaldiFeatures):
    def surrounded(self, samples):
        raise MemoryError("no room for the samples")


def test_what_goes_wrong_in_a_thread_is_told(utterances, pool):
    with pytest.raises(MemoryError, match="no room for the samples"):
        computed(GraphFeatures(Broken(), Placement(), pool), utterances[:2])


@pytest.mark.parametrize("doubles", [False, True])
def test_every_node_has_a_cuda_kernel_in_old_versions(front_end, doubles):
    model = compose(front_end, channels_first=True, doubles=doubles)
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} <= ON_CUDA
    assert model.ir_version == 8
    assert [opset.version for opset in model.opset_import] == [17]
