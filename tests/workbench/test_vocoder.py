"""Vocos without its inverse STFT, and how what it gives is judged."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from support.networks import difference
from workbench.loading import load
from workbench.networks import vocoder
from workbench.recipe import Case, Recipe, Verdict

# isort: split
from vocos.pretrained import Vocos

Arrays = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load("vocos", "tiny")


@pytest.fixture(scope="module")
def network(recipe: Recipe) -> vocoder.Vocoder:
    module = recipe.module()
    assert isinstance(module, vocoder.Vocoder)
    return module


@torch.inference_mode()
def coefficients(network: vocoder.Vocoder, mel: np.ndarray) -> dict[str, np.ndarray]:
    outputs: tuple[Tensor, Tensor] = network(torch.from_numpy(mel))
    return {name: value.numpy() for name, value in zip(("real", "imaginary"), outputs, strict=True)}


def verdicts(recipe: Recipe, mel: np.ndarray, expected: Arrays, got: Arrays) -> dict[str, Verdict]:
    assert recipe.judge is not None
    return {verdict.name: verdict for verdict in recipe.judge({"mel": mel}, expected, got)}


def test_the_true_size_is_that_of_the_published_model() -> None:
    parameters = vocoder.Vocoder(vocoder.MEL_24KHZ).parameters()
    assert round(sum(parameter.numel() for parameter in parameters) / 1e6, 1) == 13.5


@pytest.mark.parametrize(("rows", "frames"), [(1, 16), (3, 41)])
def test_inputs_are_the_packages_mel_spectrograms_of_sound(recipe: Recipe, rows: int, frames: int) -> None:
    mel = recipe.sample(Case(rows, frames), 5)["mel"]
    assert (mel.shape, mel.dtype) == ((rows, 100, frames), np.float32)
    assert mel.std() > 0.5
    assert recipe.seconds(frames) == pytest.approx(frames * 256 / 24_000)


def test_with_its_inverse_stft_it_says_what_the_package_says(
    recipe: Recipe, network: vocoder.Vocoder
) -> None:
    mel = recipe.sample(Case(2, 40), 1)["mel"]
    whole = Vocos(torch.nn.Identity(), network.backbone, network.head)
    expected = whole.decode(torch.from_numpy(mel))
    got = vocoder.sound(*network(torch.from_numpy(mel)))
    assert got.shape == (2, 39 * 256)
    assert difference(got.detach(), expected) < 1e-5


def test_random_weights_give_sound_that_changes_with_the_input(
    recipe: Recipe, network: vocoder.Vocoder
) -> None:
    sounds = [
        vocoder.sound(*network(torch.from_numpy(recipe.sample(Case(1, 64), seed)["mel"]))).detach()
        for seed in (1, 2)
    ]
    for sound in sounds:
        assert 0.01 < sound.std() < 1
    assert difference(*sounds) > 0.5


def test_rounding_is_well_and_another_phase_is_not(recipe: Recipe, network: vocoder.Vocoder) -> None:
    mel = recipe.sample(Case(2, 32), 3)["mel"]
    expected = coefficients(network, mel)
    rounded = {name: value.astype(np.float16).astype(np.float32) for name, value in expected.items()}
    found = verdicts(recipe, mel, expected, rounded)
    assert {name: verdict.is_well for name, verdict in found.items()} == {
        "waveform error": True,
        "mel distance": True,
    }
    assert found["waveform error"].value > 0
    turned = {"real": expected["imaginary"], "imaginary": expected["real"]}
    assert not any(verdict.is_well for verdict in verdicts(recipe, mel, expected, turned).values())
