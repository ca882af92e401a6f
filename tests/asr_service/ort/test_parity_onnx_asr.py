"""NeMo's models in onnx-asr's layout give what onnx-asr itself makes of them: the same tokens in the same frames."""

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx_asr
import pytest

from asr_service.engines import load
from asr_service.engines.base import Engine, Samples, Speech
from asr_service.engines.ort.pipeline import MIN_SAMPLES
from support.random_models import ONNX_ASR, write
from support.utterances import utterances

COUNT = 60
TYPES = {
    "fastconformer-rnnt": "nemo-conformer-rnnt",
    "fastconformer-tdt": "nemo-conformer-tdt",
    "fastconformer-ctc": "nemo-conformer-ctc",
}
FRAME = 0.08
MOST_TIES = 1
"""Of them all: random weights leave near ties, and features are summed in another order."""

Found = list[tuple[str, int]]


@pytest.fixture(scope="module", params=ONNX_ASR)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def directory(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(ONNX_ASR[name], tmp_path_factory.mktemp("onnx-asr") / name)


@pytest.fixture(scope="module")
def reference(name: str, directory: Path) -> Callable[[Samples], Found]:
    model = onnx_asr.load_model(TYPES[name], directory, providers=["CPUExecutionProvider"]).with_timestamps()

    def recognize(samples: Samples) -> Found:
        found = model.recognize(samples)
        return [
            (text, round(start / FRAME)) for text, start in zip(found.tokens, found.timestamps, strict=True)
        ]

    return recognize


@pytest.fixture(scope="module")
def engine(directory: Path) -> Engine:
    return load(directory, precision="fp32", threads=1, engine="ort")


def whole(heard: Sequence[Samples]) -> list[Samples]:
    """Without those that ort puts digital silence behind, of which normalisation makes what rounding decides."""
    return [samples for samples in heard if len(samples) >= MIN_SAMPLES]


def test_tokens_and_frames_are_onnx_asrs(
    engine: Engine, reference: Callable[[Samples], Found], sample: Samples
) -> None:
    heard = whole(utterances(sample, COUNT, seed=3, longest=15.0))
    expected = [reference(samples) for samples in heard]
    found = [
        [(token.text.decode(), round((token.start or 0) / FRAME)) for token in recognition.tokens]
        for recognition in engine.recognize([Speech(samples) for samples in heard])
    ]
    assert sum(map(len, expected)) > 500
    assert sum(ours != theirs for ours, theirs in zip(found, expected, strict=True)) <= MOST_TIES
