"""NeMo's recognition in one network: it says what the parts say one after another."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import Tensor

from asr_service.engines.ort.features import NemoFeatures
from support.networks import difference
from workbench.networks import fastconformer, greedy, nemo_models
from workbench.networks.listening import babble
from workbench.networks.nemo_pipeline import FILLING, LogMel, Pipeline, collapsed
from workbench.networks.threads import one_thread

BINS, TOKENS = 80, 100
SECONDS = (3.0, 2.35, 0.5)


@pytest.fixture(scope="module", autouse=True)
def _on_one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(nemo_models.ctc(partial(fastconformer.FastConformer, fastconformer.TINY), TOKENS)).eval()


def utterances() -> tuple[Tensor, Tensor]:
    """Samples [3, …] and lengths: what follows a shorter one is noise, which nothing may hear."""
    lengths = torch.tensor([round(seconds * 16_000) for seconds in SECONDS])
    noise = torch.randn(3, int(lengths.max()), generator=torch.Generator().manual_seed(0))
    for row, (seconds, length) in enumerate(zip(SECONDS, lengths, strict=True)):
        noise[row, :length] = babble(seconds, seed=row)
    return noise, lengths


def features_of(samples: Tensor) -> Tensor:
    """As the engine computes them of one utterance, [bins, frames]."""
    return torch.from_numpy(NemoFeatures(BINS)(samples.numpy())).T


def test_features_are_those_of_the_engine() -> None:
    samples, lengths = utterances()
    features, frames = LogMel(BINS)(samples, lengths)
    for row, (length, count) in enumerate(zip(lengths, frames, strict=True)):
        assert difference(features[row, :, :count], features_of(samples[row, :length])) < 1e-3
        assert not features[row, :, count:].any()


def test_features_stay_in_single_precision_where_the_model_is_halved(pipeline: Pipeline) -> None:
    samples, lengths = utterances()
    single, _ = pipeline.preprocessor(samples, lengths)
    halved = deepcopy(pipeline).half()
    features, _ = halved.preprocessor(samples, lengths)
    assert halved.model.decoder.weight.dtype == torch.float16
    assert torch.equal(features, single)


def halved_features() -> LogMel:
    """As TensorRT may compute them, which chooses by itself."""
    features = LogMel(BINS)
    features.waves, features.filters = features.waves.half(), features.filters.half()
    return features


@pytest.mark.parametrize("peak", [1.0, 0.5, 0.05])
def test_halved_features_are_nearly_the_same(peak: float) -> None:
    sound = babble(3, seed=0).unsqueeze(0)
    sound, length = peak * sound / sound.abs().max(), torch.tensor([sound.shape[1]])
    expected, _ = LogMel(BINS)(sound, length)
    got, _ = halved_features()(sound.half(), length)
    assert got.dtype == torch.float16
    assert (got.float() - expected).norm() / expected.norm() < 0.03


@pytest.mark.parametrize("hertz", [0, 300, 1000, 4000, 7900])
def test_nothing_overflows_in_halved_features_of_a_full_scale_sine(hertz: int) -> None:
    sine = torch.sin(torch.arange(16_000) * (2 * torch.pi * hertz / 16_000)).unsqueeze(0)
    features, _ = halved_features()(sine.half(), torch.tensor([16_000]))
    assert features.isfinite().all()


@torch.inference_mode()
def test_tokens_are_those_of_features_model_and_search_one_after_another(pipeline: Pipeline) -> None:
    samples, lengths = utterances()
    tokens, log_probs = pipeline(samples, lengths)
    for row, length in enumerate(lengths):
        features = features_of(samples[row, :length]).unsqueeze(0)
        encoded, count = pipeline.model.encoder(features, torch.tensor([features.shape[2]]))
        expected = pipeline.model.log_probs(encoded)
        (said,) = greedy.collapsed(expected, count, TOKENS)
        assert said or SECONDS[row] < 1, "nothing is compared"
        assert tokens[row, : len(said)].tolist() == said
        assert (tokens[row, len(said) :] == FILLING).all()
        assert difference(log_probs[row, :count], expected[0].amax(dim=1)) < 1e-3
        assert not log_probs[row, count:].any()


def test_collapsing_is_that_of_the_greedy_search() -> None:
    paths = torch.randint(0, 4, (20, 50), generator=torch.Generator().manual_seed(2))
    lengths = torch.arange(20) * 2 + 12
    found = collapsed(paths, torch.arange(50) < lengths.unsqueeze(1), 3)
    log_probs = torch.nn.functional.one_hot(paths, 4).float()
    for row, expected in zip(found, greedy.collapsed(log_probs, lengths, 3), strict=True):
        assert row[row != FILLING].tolist() == expected
        assert (row[len(expected) :] == FILLING).all()
