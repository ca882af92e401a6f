"""What one command sees to before it starts the services, and how it knows that they serve."""

import asyncio
import os
import textwrap
from pathlib import Path

import pytest

from asr_service.config import ENV_PREFIX as ASR_PREFIX
from asr_service.config import AsrConfig
from diarization_service.config import ENV_PREFIX as DIARIZATION_PREFIX
from diarization_service.config import Config as DiarizationConfig
from gateway.client import CertificateFiles, TranscriptionClient
from gateway.config import ENV_PREFIX
from gateway.embedded import embedded_services, missing_models
from serving.config import from_environment
from serving.models import ModelStore
from support.certificates import Authority

ROOT = Path(__file__).resolve().parents[2]

# Serves health and nothing else.
BACKEND = """
import sys
from serving.config import ServerConfig, command
from serving.server import run

class Healthy:
    names = ("speech.stand_in.v1.StandIn",)

    def register(self, server): ...
    async def start(self): ...
    async def close(self): ...

main = command(ServerConfig, lambda config: run(Healthy(), config), name="backend", help="", env_prefix="BACKEND_")
sys.exit(main())
"""

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


@pytest.fixture
def quick_backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the real ones in child processes."""
    for name in ("asr_service", "diarization_service"):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(BACKEND))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (tmp_path, ROOT, ROOT / "protos"))))


@pytest.mark.usefixtures("quick_backends")
@pytest.mark.parametrize("health", ["", "127.0.0.1:0"])
async def test_a_gateway_that_speaks_tls_is_seen_to_serve(
    health: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tls"
    Authority().identity("gateway").write(folder)
    monkeypatch.setenv(f"{ENV_PREFIX}TLS_CERTIFICATE", str(folder / "tls.crt"))
    monkeypatch.setenv(f"{ENV_PREFIX}TLS_KEY", str(folder / "tls.key"))
    monkeypatch.setenv(f"{ENV_PREFIX}BACKEND_CA", str(folder / "ca.crt"))
    if health:
        monkeypatch.setenv(f"{ENV_PREFIX}HEALTH_ADDRESS", health)
    async with (
        asyncio.timeout(120),
        embedded_services(gateway_address="127.0.0.1:0", sink=lambda _: None, grace_seconds=5) as services,
    ):
        files = CertificateFiles(ca=folder / "ca.crt")
        async with TranscriptionClient(services.addresses["gateway"], credentials=files) as client:
            assert (await client.describe(timeout=20)).HasField("limits")
