"""An utterance gives the same tokens at the same times alone, or with any neighbours, in any order, at any padding."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from asr_service.engines import load
from asr_service.engines.base import Engine, EngineInfo, Recognition, Samples, Speech
from asr_service.engines.layout import detect
from asr_service.engines.ort.choice import Choice
from asr_service.engines.ort.devices import Installation
from asr_service.engines.ort.engine import OrtEngine
from asr_service.engines.ort.frame_families import frame_plan
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.pipeline import MIN_SAMPLES
from asr_service.engines.ort.profiles import parse_all
from asr_service.engines.ort.runtime import Placement, Session
from asr_service.engines.ort.settings import Settings
from asr_service.engines.ort.site import Site
from support.random_models import SHERPA_ONNX, write
from support.recognition import INFO
from support.utterances import utterances

COUNT = 40
LONGEST = 6.0
PLACES = st.lists(st.integers(0, COUNT - 1), min_size=2, max_size=24)

Open = Callable[[Path], Engine]


class PlayedGpu(Site):
    """Batches as long as their bucket, filled up to the least rows of a profile, though the CPU computes them."""

    @property
    def placement(self) -> Placement:
        return Placement()

    exact_placement = placement


def on_cpu(directory: Path) -> Engine:
    return load(directory, precision="fp32", threads=1, engine="ort")


def as_on_gpu(directory: Path) -> Engine:
    layout = detect(directory, "fp32")
    wanted = Settings(profiles=parse_all(["3:4:8x3", "2:4:16x7"]))
    site = PlayedGpu(layout, Choice("cuda", ""), wanted, Installation(), ThreadPoolExecutor(2))
    model = frame_plan(layout)
    opened = model.open(site, Lanes.one(site.profiles, Session(model.encoder, site.placement)))
    return OrtEngine(opened.recognizer, EngineInfo(**{**vars(INFO), "max_batch": 16}))


ENGINES: dict[str, tuple[str, Open]] = {
    "conformer-transducer": ("conformer-transducer", on_cpu),
    "fastconformer-rnnt": ("fastconformer-rnnt", on_cpu),
    "fastconformer-tdt": ("fastconformer-tdt", on_cpu),
    "fastconformer-ctc": ("fastconformer-ctc", on_cpu),
    "zipformer-ctc": ("zipformer-ctc", on_cpu),
    "citrinet": ("citrinet", on_cpu),
    "fastconformer-tdt-gpu": ("fastconformer-tdt", as_on_gpu),
    "zipformer-ctc-gpu": ("zipformer-ctc", as_on_gpu),
    "citrinet-gpu": ("citrinet", as_on_gpu),
}
MASKED = {"conformer-transducer", "fastconformer-rnnt", "fastconformer-tdt", "fastconformer-ctc"}
"""Those whose padding nothing is heard of."""


@pytest.fixture(scope="module", params=ENGINES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a model, which is made once."""
    folder = tmp_path_factory.mktemp("invariance")
    return lambda model: (
        folder / model if (folder / model).exists() else write(SHERPA_ONNX[model], folder / model)
    )


@pytest.fixture(scope="module")
def engine(name: str, models: Callable[[str], Path]) -> Engine:
    model, open_engine = ENGINES[name]
    return open_engine(models(model))


@pytest.fixture(scope="module")
def speeches(sample: Samples) -> list[Speech]:
    """Each of them twice: neighbours may be equal."""
    found = utterances(sample, COUNT // 2, seed=2, longest=LONGEST)
    return [Speech(samples) for samples in found for _ in range(2)]


@pytest.fixture(scope="module")
def alone(engine: Engine, speeches: list[Speech]) -> list[Recognition]:
    return [engine.recognize([speech])[0] for speech in speeches]


def said(found: Sequence[Recognition]) -> list[list[tuple[object, ...]]]:
    """Without probabilities, whose last bit depends on how many rows were computed together."""
    return [[(token.text, token.start, token.duration) for token in each.tokens] for each in found]


@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(places=PLACES)
def test_company_changes_nothing(
    engine: Engine, speeches: list[Speech], alone: list[Recognition], places: list[int]
) -> None:
    together = engine.recognize([speeches[place] for place in places])
    assert said(together) == said([alone[place] for place in places])


def test_all_but_models_that_hear_their_padding_mix_lengths(
    name: str, engine: Engine, speeches: list[Speech]
) -> None:
    """Else the property would hold for want of company. The shortest are all made equally long."""
    lengths: dict[int, set[int]] = {}
    for speech in speeches:
        if len(speech.samples) > MIN_SAMPLES:
            lengths.setdefault(engine.bucket(speech), set()).add(len(speech.samples))
    mixed = max(map(len, lengths.values())) > 1
    assert mixed == (name in MASKED or name.endswith("-gpu"))
