"""The graph from audio to features gives what the engine's own features are, however audio comes to it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest

from asr_service.engines.ort.features import (
    GraphFeatures,
    KaldiFeatures,
    NemoFeatures,
    SherpaNemoFeatures,
    SherpaWhisperFeatures,
)
from asr_service.engines.ort.pipeline import MIN_SAMPLES, extended
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.stages import Part
from asr_service.triton.preprocessing import compose

RATE = 16_000
FRONT_ENDS = {
    "icefall": KaldiFeatures(),
    "nemo": NemoFeatures(80),
    "nemo-plain": NemoFeatures(128, normalize=False),
    "sherpa-nemo": SherpaNemoFeatures(80, ctc=False, normalize=True),
    "sherpa-nemo-ctc": SherpaNemoFeatures(80, ctc=True, normalize=False),
    "whisper": SherpaWhisperFeatures(tail=3000),
}
CEILINGS = [4800, RATE, 2 * RATE, 4 * RATE, 8 * RATE]
LENGTHS = [
    1,
    120,
    200,
    4000,
    MIN_SAMPLES - 1,
    MIN_SAMPLES,
    8079,
    8080,
    RATE,
    17_001,
    2 * RATE,
    63_999,
    8 * RATE,
]


@pytest.fixture(scope="module", params=FRONT_ENDS)
def front_end(request):
    return FRONT_ENDS[request.param]


@pytest.fixture(scope="module")
def graph(front_end):
    return session(compose(front_end, CEILINGS, channels_first=False, doubles=False))


def session(model):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def computed(graph, batch, lengths=None):
    """Features, and how many frames are a row's own, of rows that lie in one array."""
    given = [len(row) for row in batch] if lengths is None else lengths
    return graph.run(None, {"audio_signal": np.stack(batch), "lengths": np.array(given)})


@pytest.fixture(scope="module")
def engine(front_end):
    with ThreadPoolExecutor(1) as pool:
        yield GraphFeatures(front_end, Placement(), pool)


def expected(engine, samples, ceiling):
    """Features of one utterance that is as long as its bucket, and how many frames are its own."""
    ((found, frames),) = engine([extended(samples)], ceiling).parts([Part(1, 1)])
    return found.numpy(), frames


def assert_alike(features, ours):
    """But for the rounding of products, whose order depends on where arrays lie."""
    np.testing.assert_allclose(features, ours, rtol=0, atol=2e-4)


def bucket(width):
    return next(ceiling for ceiling in CEILINGS if max(width, MIN_SAMPLES) <= ceiling)


@pytest.mark.parametrize("length", LENGTHS)
def test_features_are_the_engines(front_end, graph, engine, sample, length):
    samples = sample[RATE : RATE + length]
    features, frames = computed(graph, [samples])
    ours, own = expected(engine, samples, bucket(length))
    assert_alike(features, ours)
    if not isinstance(front_end, SherpaWhisperFeatures):
        np.testing.assert_array_equal(frames, own)
    assert frames == front_end.heard(max(length, MIN_SAMPLES))


def test_what_lies_behind_a_row_is_not_heard(graph, engine, sample):
    lengths = [5000, RATE, 30_000, 50_000]
    noise = np.random.default_rng(0).normal(size=(len(lengths), 50_000)).astype(np.float32)
    for row, length in zip(noise, lengths, strict=True):
        row[:length] = sample[:length]
    features, _ = computed(graph, list(noise), lengths)
    for row, length in zip(features, lengths, strict=True):
        ours, _ = expected(engine, sample[:length], 4 * RATE)
        assert_alike(row, ours[0])


def test_bins_come_first_where_an_encoder_wants_them_so(front_end, engine, sample):
    graph = session(compose(front_end, CEILINGS, channels_first=True, doubles=True))
    features, _ = computed(graph, [sample[:RATE]])
    ours, _ = expected(engine, sample[:RATE], RATE)
    assert_alike(features.transpose(0, 2, 1), ours)


def test_lengths_of_a_bucket_have_one_shape(graph, front_end, sample):
    shapes = {computed(graph, [sample[:length]])[0].shape for length in (17_000, 25_000, 32_000)}
    assert shapes == {(1, front_end.frames(2 * RATE), front_end.bins)}


def test_nothing_is_computed_beyond_the_last_bucket(graph, front_end, sample):
    features, frames = computed(graph, [sample[: 10 * RATE]])
    assert features.shape[1] == front_end.frames(8 * RATE)
    assert frames == front_end.heard(8 * RATE)


def test_the_graph_is_one_that_old_versions_read(front_end):
    model = compose(front_end, CEILINGS, channels_first=False, doubles=True)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 8
    assert [opset.version for opset in model.opset_import] == [17]
