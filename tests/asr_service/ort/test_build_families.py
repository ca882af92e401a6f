"""Engines of every family: small models of the published layouts, with TensorRT played on the CPU."""

from pathlib import Path

import onnxruntime
import pytest

from asr_service.engines.ort.build import in_own_process
from asr_service.engines.ort.builder import Builder
from asr_service.engines.ort.families import network
from asr_service.engines.ort.network import Network
from asr_service.engines.ort.order import GRAPH, Order
from asr_service.engines.ort.profiles import parse
from asr_service.engines.ort.providers import TENSORRT
from asr_service.engines.ort.recipe import Recipe, recipes
from asr_service.engines.ort.settings import Settings
from serving.errors import ModelUnavailable
from support.tensorrt import H200, INSTALLATION, FakeTensorrt
from support.tiny_models import MODELS, TinyModel

RUN_BY_ORT = [model for model in MODELS.values() if "ort" in model.engines]


def recipe_for(model: Network) -> Recipe:
    profile = parse("1x30:30:30") if model.family == "whisper" else parse("1:2:4x0.5:2:4")
    settings = Settings(provider="tensorrt", profiles=(profile,))
    (recipe,) = recipes(model, settings, INSTALLATION, H200, fingerprint="f00d")
    return recipe


def order(recipe: Recipe, model: Path, folder: Path) -> Order:
    return Order(str(model), str(recipe.profile), True, recipe.building(folder), recipe.finished)


@pytest.mark.parametrize("model", RUN_BY_ORT, ids=lambda model: model.name)
def test_an_engine_of_each_family_computes_what_the_cpu_does(model: TinyModel, tmp_path: Path) -> None:
    source, folder = tmp_path / "model", tmp_path / "engine"
    source.mkdir()
    folder.mkdir()
    model.write(source)
    made = network(source)
    report = Builder(
        made, order(recipe_for(made), source, folder), folder, lambda _: None, FakeTensorrt()
    ).build()
    assert report.relative_error < 1e-4
    assert report.token_agreement == 1
    assert report.graph == GRAPH


def test_the_process_that_builds_gets_as_far_as_this_machine_lets_it(tmp_path: Path) -> None:
    if TENSORRT in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has TensorRT")
    source, folder = tmp_path / "model", tmp_path / "engine"
    source.mkdir()
    folder.mkdir()
    MODELS["transducer"].write(source)
    stages: list[str] = []
    with pytest.raises(ModelUnavailable, match=f"has no {TENSORRT}"):
        in_own_process(order(recipe_for(network(source)), source, folder), folder, stages.append)
    assert [stage.split()[0] for stage in stages] == ["computing", "rewriting", "building"]
