"""Which models one command sees to before it starts the services."""

import os
from pathlib import Path

import pytest

from asr_service.config import ENV_PREFIX as ASR_PREFIX
from asr_service.config import AsrConfig
from diarization_service.config import ENV_PREFIX as DIARIZATION_PREFIX
from diarization_service.config import Config as DiarizationConfig
from gateway.embedded import missing_models
from serving.config import from_environment
from serving.models import ModelStore

DIARIZATION = ["pyannote-segmentation-3.0", "wespeaker-resnet34"]


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        ({}, ["whisper-tiny.en", "silero-vad", *DIARIZATION]),
        (
            {"DUOSCRIBE_ASR_MODEL": "whisper-tiny.en-fp32"},
            ["whisper-tiny.en-fp32", "silero-vad", *DIARIZATION],
        ),
        ({"DUOSCRIBE_ASR_MODEL": "zipformer-en"}, ["silero-vad", *DIARIZATION, "zipformer-en"]),
        ({"DUOSCRIBE_ASR_MODEL": "./whisper-tiny.en"}, ["silero-vad", *DIARIZATION]),
        (
            {"DUOSCRIBE_DIARIZATION_SEGMENTATION_MODEL": "/a", "DUOSCRIBE_DIARIZATION_EMBEDDING_MODEL": "/b"},
            ["whisper-tiny.en", "silero-vad"],
        ),
    ],
)
def test_only_what_the_services_will_load_is_missing(
    environment: dict[str, str], missing: list[str], tmp_path: Path
) -> None:
    assert missing_models(ModelStore(tmp_path), environment) == missing


@pytest.mark.parametrize("named", [False, True])
def test_the_services_load_what_is_asked_for(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = ["whisper-tiny.en", "silero-vad", *DIARIZATION]
    if named:
        # Any names of the manifest will do: what they are for is seen when they are loaded.
        monkeypatch.setenv("DUOSCRIBE_ASR_MODEL", "zipformer-en")
        monkeypatch.setenv("DUOSCRIBE_DIARIZATION_SEGMENTATION_MODEL", "parakeet-tdt-0.6b-v3")
        monkeypatch.setenv("DUOSCRIBE_DIARIZATION_EMBEDDING_MODEL", "nemo-fastconformer-ctc-en")
        chosen = ["silero-vad", "zipformer-en", "parakeet-tdt-0.6b-v3", "nemo-fastconformer-ctc-en"]
    asr = from_environment(AsrConfig, ASR_PREFIX)
    diarization = from_environment(DiarizationConfig, DIARIZATION_PREFIX)
    loaded = {asr.model, "silero-vad", diarization.segmentation_model, diarization.embedding_model}
    assert loaded == set(chosen)
    assert set(missing_models(ModelStore(tmp_path), os.environ)) == loaded
