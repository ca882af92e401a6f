"""With features from the graph, models say what they say with NumPy's."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from asr_service.engines import load
from asr_service.engines.base import Recognition, Samples, Speech
from asr_service.engines.layout import ModelLayout
from asr_service.engines.ort.choice import Choice
from asr_service.engines.ort.devices import Installation
from asr_service.engines.ort.features import GraphFeatures, KaldiFeatures, NumpyFeatures
from asr_service.engines.ort.providers import always_rounds
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.settings import FeatureComputer, Provider, Settings
from asr_service.engines.ort.site import Site
from asr_service.engines.ort.watching import Stopwatch
from support.random_models import SHERPA_ONNX, write
from support.tiny_models import MODELS, bursts
from support.utterances import utterances

COUNT, LONGEST = 60, 8.0
MOST_TIES = 1
"""Of COUNT. Random weights leave near ties between tokens; none were found, or one where weights are Citrinet's."""
PHRASE = Speech(bursts((0.4, 1.0), 1.7))


def heard(directory: Path, features: FeatureComputer, batch: list[Speech]) -> list[Recognition]:
    settings = Settings(provider="cpu", features=features)
    engine = load(directory, precision="fp32", threads=1, engine="ort", settings=settings)
    return engine.recognize(batch)


def said(found: Recognition) -> list[tuple[object, ...]]:
    return [(token.text, token.start, token.duration) for token in found.tokens]


@pytest.mark.parametrize("name", SHERPA_ONNX)
def test_tokens_and_times_are_the_same(name: str, sample: Samples, tmp_path: Path) -> None:
    directory = write(SHERPA_ONNX[name], tmp_path / name)
    batch = [Speech(samples) for samples in utterances(sample, COUNT, seed=1, longest=LONGEST)]
    numpy, graph = ([said(found) for found in heard(directory, how, batch)] for how in ("numpy", "graph"))
    assert sum(map(len, numpy)) > 200
    assert sum(one != other for one, other in zip(numpy, graph, strict=True)) <= MOST_TIES


@pytest.mark.parametrize("name", ["tdt-of-onnx-asr", "ctc-of-onnx-asr", "whisper"])
def test_other_layouts(name: str, tmp_path: Path) -> None:
    MODELS[name].write(tmp_path)
    numpy, graph = (said(*heard(tmp_path, how, [PHRASE])) for how in ("numpy", "graph"))
    assert numpy
    assert numpy == graph


class OnCpu(Site):
    """Runs there whatever was chosen."""

    @property
    def exact_placement(self) -> Placement:
        return Placement()


def site(kind: type[Site], provider: Provider, settings: Settings) -> Site:
    layout = ModelLayout(Path(), "transducer", {}, Path(), {})
    return kind(layout, Choice(provider, ""), settings, Installation("1.26.0"), ThreadPoolExecutor(1))


@pytest.mark.parametrize(
    ("provider", "how", "kind"),
    [
        ("cpu", "auto", NumpyFeatures),
        ("cpu", "graph", GraphFeatures),
        ("cuda", "auto", GraphFeatures),
        ("tensorrt", "auto", GraphFeatures),
        ("tensorrt", "numpy", NumpyFeatures),
    ],
)
def test_gpus_compute_features_unless_told_otherwise(
    provider: Provider, how: FeatureComputer, kind: type
) -> None:
    found = site(OnCpu, provider, Settings(features=how)).features(KaldiFeatures(), channels_first=False)
    assert isinstance(found, kind)


@pytest.mark.parametrize("asked", [{}, {"use_tf32": "1", "arena_extend_strategy": "kNextPowerOfTwo"}])
def test_products_of_features_are_not_rounded_to_tf32(asked: dict[str, str]) -> None:
    ((name, options),) = site(Site, "tensorrt", Settings(options=asked)).exact_placement.providers
    assert name == "CUDAExecutionProvider"
    assert options["use_tf32"] == "False"
    assert options["arena_extend_strategy"] == asked.get("arena_extend_strategy", "kSameAsRequested")


@pytest.mark.parametrize(
    ("version", "rounds"), [((1, 17, 1), True), ((1, 18, 0), False), ((1, 31, 1), False)]
)
def test_old_versions_cannot_be_kept_from_rounding(version: tuple[int, ...], rounds: bool) -> None:
    assert always_rounds(version) == rounds


def test_a_stage_that_comes_back_is_told_once() -> None:
    told: list[str] = []
    watch = Stopwatch(lambda stage, seconds: told.append(stage) if seconds >= 0 else None)
    for stage in ("features", "encoder", "features", "encoder", "search"):
        watch.lap(stage)
    watch.tell()
    assert told == ["features", "encoder", "search"]
