"""The recipe of Whisper's encoder, with the real weights on real clips and without."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import corpus
from serving.models.store import ModelStore
from support.networks import difference, run
from workbench.clips import folder
from workbench.networks.threads import one_thread
from workbench.recipe import Arrays, Case, Recipe
from workbench.recipes.whisper_encoder import MODEL
from workbench.recipes.whisper_encoder import recipe as recipe_of


def outputs(recipe: Recipe, inputs: Arrays) -> dict[str, np.ndarray]:
    with torch.inference_mode(), one_thread():
        keys, values = recipe.module()(torch.from_numpy(inputs["mel"]))
    return {"n_layer_cross_k": keys.numpy(), "n_layer_cross_v": values.numpy()}


def test_without_the_model_its_true_size_has_random_weights_and_no_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUOSCRIBE_CACHE", str(tmp_path))
    recipe = recipe_of("full")
    assert "random weights" in recipe.summary
    assert recipe.judge is None
    weights = dict(recipe.module().named_parameters())
    assert weights["encoder.blocks.3.attn.query.weight"].shape == (384, 384)


def test_the_tiny_one_hears_half_a_minute_row_by_row() -> None:
    recipe = recipe_of("tiny")
    inputs = recipe.sample(Case(2, 30.0), 0)
    assert inputs["mel"].shape == (2, 80, 3000)
    together = outputs(recipe, inputs)
    (alone, _) = outputs(recipe, {"mel": inputs["mel"][1:]}).values()
    assert together["n_layer_cross_k"].shape == (2, 2, 1500, 64)
    assert difference(together["n_layer_cross_k"][:, 1:], alone) < 1e-5


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model's folder, with three real clips where the workbench looks for them."""
    model, recordings = ModelStore().path(MODEL), corpus.clips()[:3]
    (tmp_path / MODEL).symlink_to(model)
    monkeypatch.setenv("DUOSCRIBE_CACHE", str(tmp_path))
    folder().mkdir()
    for recording in recordings:
        recording.write_wav(folder() / f"{recording.name}.wav")
        (folder() / f"{recording.name}.txt").write_text(recording.sentences[0].text, "utf-8")
    return model


@pytest.mark.models
def test_trained_weights_compute_what_the_models_own_file_does_and_are_judged_by_their_words(
    trained: Path,
) -> None:
    recipe = recipe_of("full")
    assert "OpenAI's weights" in recipe.summary
    inputs = recipe.sample(Case(3, 30.0), 0)
    expected = outputs(recipe, inputs)
    for value, found in zip(expected.values(), run(trained / "encoder.onnx", mel=inputs["mel"]), strict=True):
        assert difference(found, value) < 1e-4

    assert recipe.judge
    rounded = {name: value.astype(np.float16).astype(np.float32) for name, value in expected.items()}
    found = {verdict.name: verdict for verdict in recipe.judge(inputs, expected, rounded)}
    assert all(verdict.is_well for verdict in found.values())
    assert found["WER against the texts, %"].value < 10

    others = {name: value[:, ::-1].copy() for name, value in expected.items()}
    wrong = {verdict.name: verdict for verdict in recipe.judge(inputs, expected, others)}
    assert not wrong["token agreement"].is_well
    assert not wrong["WER against the texts, %"].is_well
