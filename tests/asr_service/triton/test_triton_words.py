"""On real speech an exported model says what the project's engine says where utterances are padded as on a GPU."""

from collections.abc import Sequence
from pathlib import Path

import jiwer
import numpy as np
import pytest
from click.testing import CliRunner

from asr_service.engines import load
from asr_service.engines.base import Engine, Samples, Speech
from asr_service.engines.ort.profiles import parse
from asr_service.engines.ort.settings import Settings
from asr_service.spelling import spell
from asr_service.triton.commands import triton
from benchmarks.corpus import clips
from serving.models.store import ModelStore
from support.random_models import ONNX_ASR, SHERPA_ONNX, Write, write
from support.triton import Repository
from support.utterances import utterances

COUNT, LONGEST = 16, 8.0
MOST_TIES = 1
"""Of COUNT. Random weights leave near ties between tokens; none were found."""
PROFILE = "1:8:8x0.5:4:8"
MODELS: dict[str, tuple[Write, str]] = {
    "conformer-transducer": (SHERPA_ONNX["conformer-transducer"], "gpu"),
    "zipformer-ctc": (SHERPA_ONNX["zipformer-ctc"], "gpu"),
    "fastconformer-tdt-of-onnx-asr": (ONNX_ASR["fastconformer-tdt"], "gpu"),
    "citrinet": (SHERPA_ONNX["citrinet"], "cpu"),
}
"""And what they are exported for; graphs for GPUs run on CPUs as well."""


def exported(model: str | Path, folder: Path, *flags: str) -> Repository:
    result = CliRunner().invoke(triton, ["export", str(model), str(folder), "--name", "asr", *flags])
    assert result.exit_code == 0, result.output
    return Repository(folder)


def said(repository: Repository, heard: Sequence[Samples]) -> list[str]:
    answers = repository.infer("asr", [{"audio_signal": samples[np.newaxis]} for samples in heard])
    return [answer["decoded_texts"].item().decode() for answer in answers]


def said_by(engine: Engine, heard: Sequence[Samples]) -> list[str]:
    family = engine.info.family
    return [spell(engine.recognize([Speech(samples)])[0].tokens, family)[0] for samples in heard]


@pytest.mark.parametrize("name", MODELS)
def test_random_models_say_the_same(name: str, sample: Samples, tmp_path: Path) -> None:
    make, device = MODELS[name]
    model = write(make, tmp_path / name)
    heard = utterances(sample, COUNT, seed=1, longest=LONGEST)
    settings = Settings(provider="cpu", features="graph", profiles=(parse(PROFILE),), shapes_of_gpu=True)
    expected = said_by(load(model, precision="fp32", threads=1, engine="ort", settings=settings), heard)
    found = said(exported(model, tmp_path / "repository", "--profile", PROFILE, "--device", device), heard)
    assert sum(map(len, expected)) > 200
    assert sum(ours != other for ours, other in zip(found, expected, strict=True)) <= MOST_TIES


@pytest.mark.models
def test_whisper_says_what_was_said(tmp_path: Path) -> None:
    recordings = clips()[:4]
    heard = [recording.samples.astype(np.float32) / 32768 for recording in recordings]
    repository = exported("whisper-tiny.en-fp32", tmp_path, "--profile", "1:2:2x30:30:30")
    found = said(repository, heard)
    assert repository.models["asr_encoder"].batches == [2, 2]
    settings = Settings(provider="cpu", shapes_of_gpu=True)
    model = ModelStore().path("whisper-tiny.en-fp32")
    assert found == said_by(load(model, precision="fp32", threads=2, engine="ort", settings=settings), heard)
    spoken = [sentence.text for recording in recordings for sentence in recording.sentences]
    assert jiwer.wer(spoken, [jiwer.RemovePunctuation()(text).lower() for text in found]) < 0.15
