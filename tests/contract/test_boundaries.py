"""Who may import whom: heavy libraries stay where they belong, and services know nothing of each other."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {"asr_service", "diarization_service", "gateway"}
RECOGNITION = {"onnxruntime", "sherpa_onnx"}
DIARIZATION = {"torch", "torchaudio", "pyannote"}

# What a service process has loaded once its servicer can answer.
LOADED = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(",".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def imports(package: str) -> Iterator[tuple[str, str]]:
    """(file, imported package) for every import statement, those inside functions included."""
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    yield from (
                        (str(path.relative_to(ROOT)), alias.name.partition(".")[0]) for alias in names
                    )
                case ast.ImportFrom(module=str(module), level=0):
                    yield str(path.relative_to(ROOT)), module.partition(".")[0]


def written_in(package: str) -> set[str]:
    return {imported for _, imported in imports(package)}


def loaded_by(module: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOADED, module], check=True, capture_output=True, text=True)
    return set(done.stdout.strip().split(","))


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("serving", SERVICES | {"sherpa_onnx"}),
        ("asr_service", DIARIZATION | SERVICES - {"asr_service"}),
        ("diarization_service", RECOGNITION | SERVICES - {"diarization_service"}),
        ("gateway", RECOGNITION | DIARIZATION | SERVICES - {"gateway"}),
        ("workbench", SERVICES - {"asr_service"}),
    ],
)
def test_no_import_crosses_a_boundary(package: str, forbidden: set[str]) -> None:
    assert written_in(package), "nothing was read"
    assert not written_in(package) & forbidden


def test_only_conversions_of_the_model_store_know_torch() -> None:
    heavy = DIARIZATION | {"onnx", "onnxruntime", "onnxscript"}
    places = {path for path, imported in imports("serving") if imported in heavy}
    assert places
    assert all(path.startswith("serving/models/conversion/") for path in places)


def test_nothing_that_serves_knows_the_workbench() -> None:
    places = {
        path
        for package in (*SERVICES, "serving")
        for path, imported in imports(package)
        if imported == "workbench"
    }
    assert places == {"asr_service/engines/cached.py"}


@pytest.mark.parametrize("module", ["gateway.servicer", "gateway.cli", "diarization_service.servicer"])
def test_a_process_without_models_loads_none_of_their_libraries(module: str) -> None:
    assert not loaded_by(module) & (RECOGNITION | DIARIZATION)


def test_recognition_loads_nothing_of_diarization() -> None:
    assert not loaded_by("asr_service.servicer") & DIARIZATION
