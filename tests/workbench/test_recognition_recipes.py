"""Recipes of transducer encoders at their tiny sizes: the same weights each time, and a judge that hears what is wrong."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.loading import load
from workbench.networks import fastconformer, nemo_models
from workbench.networks.prediction import Dimensions
from workbench.networks.threads import one_thread
from workbench.recipe import Arrays, Case, Recipe

ENCODERS = ("conformer", "zipformer", "fastconformer-0.6b")
# Enough of it that more than a few tokens are heard, also in sound that is made up.
BATCH = Case(4, 4.0)


@pytest.fixture(scope="module", params=ENCODERS)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return load(request.param, "tiny")


@torch.inference_mode()
def outputs(recipe: Recipe, network: nn.Module, inputs: Arrays) -> Arrays:
    given = [torch.from_numpy(inputs[name]) for name in recipe.inputs]
    with one_thread():
        return {name: value.numpy() for name, value in zip(recipe.outputs, network(*given), strict=True)}


def judged(recipe: Recipe, inputs: Arrays, expected: Arrays, got: Arrays) -> dict[str, bool]:
    assert recipe.judge
    return {verdict.name: verdict.is_well for verdict in recipe.judge(inputs, expected, got)}


def test_a_network_has_the_same_weights_whatever_was_done_to_the_one_before(recipe: Recipe) -> None:
    first = recipe.module()
    before = {name: value.clone() for name, value in first.state_dict().items()}
    first.half()
    after = recipe.module().state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_batch_holds_so_many_seconds_and_is_the_same_for_a_seed(recipe: Recipe) -> None:
    frames, lengths = recipe.sample(BATCH, 0).values()
    assert frames.shape[0] == BATCH.rows
    assert lengths.tolist() == [max(frames.shape[1:])] * BATCH.rows
    assert max(frames.shape[1:]) == pytest.approx(100 * BATCH.length, abs=3)
    again, _ = recipe.sample(BATCH, 0).values()
    other, _ = recipe.sample(BATCH, 1).values()
    assert np.array_equal(frames, again)
    assert not np.array_equal(frames, other)


def test_the_judge_hears_the_same_in_what_is_rounded_and_other_tokens_in_what_is_wrong(
    recipe: Recipe,
) -> None:
    inputs = recipe.sample(BATCH, 0)
    expected = outputs(recipe, recipe.module(), inputs)
    rounded = {name: value.astype(np.float16).astype(value.dtype) for name, value in expected.items()}
    assert all(judged(recipe, inputs, expected, rounded).values())
    others = {name: value[::-1].copy() for name, value in expected.items()}
    assert not judged(recipe, inputs, expected, others)["token agreement"]


def test_the_encoder_alone_is_that_of_the_transducer() -> None:
    decoder = Dimensions(tokens=200, encoder=64, width=64, layers=1, durations=5)
    with one_thread():
        alone = nemo_models.transducer_encoder(fastconformer.TINY).state_dict()
        whole = nemo_models.transducer(fastconformer.TINY, decoder).encoder.state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in alone.items())
