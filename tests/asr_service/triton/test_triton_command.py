"""`duoscribe triton export`: what its users see."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result

from asr_service.triton.commands import Shop, triton
from serving.models.integrity import fingerprint
from serving.models.store import ModelStore
from support.tiny_models import MODELS
from support.triton import Repository

HELP = """
import sys
from click.testing import CliRunner
from asr_service.triton.commands import triton
result = CliRunner().invoke(triton, ["export", "--help"])
assert result.exit_code == 0 and "MODEL" in result.output
print(sorted({"onnx", "onnxruntime", "torch", "grpc", "tritonclient"} & sys.modules.keys()))
"""


def export(model: Path | str, folder: Path, *flags: str) -> Result:
    return CliRunner().invoke(triton, ["export", str(model), str(folder), *flags])


def written(name: str, folder: Path) -> Path:
    folder.mkdir()
    MODELS[name].write(folder)
    return folder


def test_help_answers_without_heavy_libraries() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_it_is_a_command_of_the_project() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "triton", "export", "--help"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("Usage: duoscribe triton export")


@pytest.mark.parametrize(
    ("name", "flags", "problem"),
    [
        ("moonshine-v1", [], "a moonshine model, of which there are no graphs for Triton"),
        ("paraformer", [], "a paraformer model, of which there are no graphs for Triton"),
        ("whisper-multilingual", [], "--language names: de, en"),
        ("whisper-multilingual", ["--language", "fr"], "--language names: de, en"),
        ("nemo-ctc", ["--language", "en"], "--language says nothing to a nemo-ctc model"),
        ("nemo-ctc", ["--profile", "8x"], "--profile"),
        ("nemo-ctc", ["--name", "../asr"], "the name of a folder"),
        ("nemo-ctc", ["--profile", "2:4:8x10"], "let the least rows be 1"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    name: str, flags: list[str], problem: str, tmp_path: Path
) -> None:
    result = export(written(name, tmp_path / "model"), tmp_path / "repository", *flags)
    assert result.exit_code != 0
    assert problem in " ".join(result.output.split())
    assert not (tmp_path / "repository").exists()


def test_a_model_that_was_not_pulled_says_how(tmp_path: Path) -> None:
    flags = ["export", "zipformer-en", str(tmp_path / "repository")]
    result = CliRunner().invoke(triton, flags, obj=Shop(ModelStore(tmp_path / "cache")))
    assert result.exit_code == 1
    assert "duoscribe models pull zipformer-en" in result.output


@pytest.mark.models
def test_weights_in_8_bits_are_refused(tmp_path: Path) -> None:
    result = export("whisper-tiny.en", tmp_path)
    assert result.exit_code == 1
    assert "name a folder with the model's fp32 files" in result.output


def test_a_broken_encoder_is_named(tmp_path: Path) -> None:
    model = written("nemo-ctc", tmp_path / "model")
    graph = onnx.load(model / "model.onnx")
    graph.graph.node[-1].op_type = "Nonsense"
    onnx.save(graph, model / "model.onnx")
    result = export(model, tmp_path / "repository")
    assert result.exit_code == 1
    assert f"{model / 'model.onnx'} cannot be used" in result.output
    assert not list((tmp_path / "repository").iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    model, folder = written("nemo-ctc", tmp_path / "model"), tmp_path / "repository"
    assert export(model, folder).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    again = export(model, folder)
    assert again.exit_code == 1
    assert "holds model_lengths, model_preprocessing" in again.output
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert export(model, folder, "--name", "other").exit_code == 0
    assert len(list(folder.iterdir())) == 12


def test_a_language_is_chosen_once(tmp_path: Path) -> None:
    model = written("whisper-multilingual", tmp_path / "model")
    assert export(model, tmp_path / "de", "--language", "de", "--name", "asr").exit_code == 0
    assert "asr_decoding" in Repository(tmp_path / "de").models


def test_for_cpus_there_is_no_tensorrt(tmp_path: Path) -> None:
    model = written("nemo-ctc", tmp_path / "model")
    flags = ["--device", "cpu", "--instances", "3", "--name", "asr"]
    assert export(model, tmp_path / "repository", *flags).exit_code == 0
    for name, part in Repository(tmp_path / "repository").models.items():
        assert not part.config.HasField("optimization")
        if name != "asr":
            (group,) = part.config.instance_group
            assert (group.kind, group.count) == (group.KIND_CPU, 3)


def test_precision_and_place_of_engines_are_chosen(tmp_path: Path) -> None:
    model = written("nemo-ctc", tmp_path / "model")
    flags = ["--precision", "bf16", "--engines", "/srv/engines/", "--name", "asr"]
    assert export(model, tmp_path / "repository", *flags).exit_code == 0
    config = Repository(tmp_path / "repository").models["asr_encoder"].config
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.parameters["precision_mode"] == "BF16"
    assert accelerator.parameters["trt_engine_cache_path"].startswith("/srv/engines/asr-")


def test_the_ensemble_says_what_it_is(tmp_path: Path) -> None:
    model = written("nemo-ctc", tmp_path / "model")
    assert export(model, tmp_path / "repository", "--name", "asr").exit_code == 0
    parameters = Repository(tmp_path / "repository").models["asr"].config.parameters
    about = {name: value.string_value for name, value in parameters.items()}
    assert about == {"model": "model", "license": "", "fingerprint": fingerprint(model)}
