"""`duoscribe engines`: what its users see, with TensorRT played on the CPU."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asr_service.engines.cached import Workshop
from asr_service.engines.commands import engines
from asr_service.engines.ort.builder import Builder
from asr_service.engines.ort.cache import EngineCache
from asr_service.engines.ort.devices import Installation
from asr_service.engines.ort.order import Order, Report
from serving.errors import ModelUnavailable
from serving.models.store import ModelStore
from support.tensorrt import ENGINE, H200, INSTALLATION, FakeTensorrt, tiny_network, write_encoder

NO_GPU = replace(INSTALLATION, gpus=(), without_gpu="no GPU: NVIDIA's driver says Driver Not Loaded")


@dataclass
class Desk:
    """Runs the commands on one model, one cache and one machine."""

    model: Path
    cache: EngineCache
    tensorrt: FakeTensorrt
    installation: Installation = INSTALLATION

    def run(self, *arguments: str) -> Result:
        workshop = Workshop(
            ModelStore(self.cache.root.parent),
            self.cache,
            lambda: self.installation,
            tiny_network,
            self._work,
        )
        return CliRunner().invoke(engines, arguments, obj=workshop)

    def build(self, *arguments: str) -> Result:
        return self.run("build", str(self.model), "--profile", "1:2:4x0.5:1:2", *arguments)

    def _work(self, order: Order, folder: Path, tell: Callable[[str], None]) -> Report:
        return Builder(tiny_network(Path(order.model)), order, folder, tell, self.tensorrt).build()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    model = tmp_path / "model"
    model.mkdir()
    encoder = write_encoder(model / "encoder.onnx")
    for role in ("decoder", "joiner"):
        shutil.copyfile(encoder, model / f"{role}.onnx")
    (model / "tokens.txt").write_text("<blk> 0\na 1\nb 2\nc 3\nd 4\n")
    return Desk(model, EngineCache(tmp_path / "cache" / "engines"), FakeTensorrt())


def test_build_tells_its_stages_and_what_came_of_it(desk: Desk) -> None:
    result = desk.build()
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert lines[0].startswith("encoder.onnx 1:2:4x0.5:1:2: computing the reference")
    (line,) = result.stdout.splitlines()
    assert "built in" in line
    assert "100.0% of the tokens agree; TensorRT runs the whole encoder" in line
    assert str(desk.cache.entries()[0].folder) in line


def test_build_makes_one_engine_a_profile(desk: Desk) -> None:
    desk.build("--profile", "4x3")
    profiles = {entry.record.identity.profile for entry in desk.cache.entries() if entry.record}
    assert profiles == {"1:2:4x0.5:1:2", "1:4:4x0.5:3:3"}


def test_build_can_be_repeated(desk: Desk) -> None:
    desk.build()
    assert desk.build().exit_code == 0
    assert desk.tensorrt.builds == 1


def test_build_takes_options_of_the_provider(desk: Desk) -> None:
    desk.build("--engine-precision", "fp32", "--provider-option", "trt_builder_optimization_level=5")
    record = desk.cache.entries()[0].record
    assert record is not None
    assert record.precision == "fp32"
    assert record.identity.options["trt_builder_optimization_level"] == "5"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--profile", "many"), "'many' is no profile: ROWSxSECONDS"),
        (("--provider-option", "trt_x"), "write NAME=VALUE"),
        (("--engine-precision", "int4"), "'int4' is not one of"),
        (("--device-id", "-1"), "x>=0"),
    ],
)
def test_a_mistyped_option_is_told(desk: Desk, arguments: tuple[str, ...], told: str) -> None:
    result = desk.build(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_without_a_gpu_build_says_in_one_line_what_is_missing(desk: Desk) -> None:
    desk.installation = NO_GPU
    result = desk.build()
    assert result.exit_code == 1
    assert result.stderr == "Error: no TensorRT: no GPU: NVIDIA's driver says Driver Not Loaded\n"


def test_a_failed_build_is_one_line_and_keeps_nothing(desk: Desk) -> None:
    desk.tensorrt = FakeTensorrt(distort=lambda values: -values)
    result = desk.build()
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: TensorRT computes something else than the CPU")
    assert desk.cache.entries() == []


def test_build_of_a_model_that_is_not_there_is_told(desk: Desk) -> None:
    result = desk.run("build", "no-such-model")
    assert result.exit_code == 1
    assert "duoscribe models list" in result.stderr


def test_list_gives_one_line_an_engine(desk: Desk) -> None:
    desk.build()
    (row,) = [line.split("\t") for line in desk.run("list").stdout.splitlines()]
    assert desk.cache.entries()[0].folder.name.startswith(row[0])
    assert row[1:4] == [str(desk.model), "1:2:4x0.5:1:2", "fp16"]
    assert row[4] == "NVIDIA H200, driver 570.86, ONNX Runtime 1.26.0, TensorRT 10.9.0"


def test_list_of_nothing_is_empty(desk: Desk) -> None:
    assert desk.run("list").stdout == ""


def test_list_tells_what_is_damaged(desk: Desk) -> None:
    desk.build()
    entry = desk.cache.entries()[0]
    (entry.folder / ENGINE).unlink()
    assert desk.run("list").stdout.rstrip().endswith("damaged")
    (entry.folder / "engine.json").unlink()
    assert desk.run("list").stdout.split("\t")[1] == "?"


def test_check_passes_what_is_whole(desk: Desk) -> None:
    desk.build()
    result = desk.run("check")
    assert (result.exit_code, result.stdout.split("\t")[1]) == (0, "whole\n")


def test_check_finds_a_changed_byte_and_names_the_command_that_repairs_it(desk: Desk) -> None:
    desk.build("--engine-precision", "bf16")
    path = desk.cache.entries()[0].folder / ENGINE
    path.write_bytes(b"X" + path.read_bytes()[1:])
    result = desk.run("check")
    assert result.exit_code == 1
    assert (
        f"run `duoscribe engines build {desk.model} --profile 1:2:4x0.5:1:2 --engine-precision bf16`"
        in result.stdout
    )
    desk.build("--engine-precision", "bf16")
    assert desk.run("check").exit_code == 0


def test_clean_removes_what_is_damaged_and_what_killed_builds_left(desk: Desk) -> None:
    desk.build()
    desk.build("--profile", "4x3")
    one, other = desk.cache.entries()
    (one.folder / ENGINE).unlink()
    left = desk.cache.root / ".partial" / "left"
    left.mkdir()
    assert desk.run("clean").stdout == f"removed {one.folder}\n"
    assert desk.cache.entries() == [other]
    assert not left.exists()


def test_clean_removes_what_is_named(desk: Desk) -> None:
    desk.build()
    desk.build("--profile", "4x3")
    one, other = desk.cache.entries()
    desk.run("clean", one.folder.name[:12])
    assert desk.cache.entries() == [other]


def test_clean_removes_on_request_what_another_driver_was_for(desk: Desk) -> None:
    desk.build()
    assert desk.run("clean", "--foreign").stdout == ""
    desk.installation = replace(INSTALLATION, gpus=(replace(H200, driver="580.65"),))
    desk.run("clean")
    assert len(desk.cache.entries()) == 1
    desk.run("clean", "--foreign")
    assert desk.cache.entries() == []


def test_clean_removes_all_on_request(desk: Desk) -> None:
    desk.build()
    desk.run("clean", "--all")
    assert desk.cache.entries() == []


def test_clean_leaves_alone_what_is_being_built(desk: Desk) -> None:
    desk.build()
    entry = desk.cache.entries()[0]
    assert entry.record is not None
    (entry.folder / ENGINE).unlink()

    def meanwhile(_: Path) -> None:
        result = desk.run("clean", "--all")
        assert result.exit_code == 1
        assert "is being built by another process; try again later" in result.stderr
        raise ModelUnavailable("enough")

    with pytest.raises(ModelUnavailable, match="enough"):
        desk.cache.make(entry.record.identity, meanwhile)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"]])
def test_the_module_runs_by_itself(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asr_service.engines", *arguments], capture_output=True, text=True, check=True
    )
    assert "Usage: duoscribe engines" in done.stdout


def test_the_list_of_commands_loads_none_of_their_libraries() -> None:
    code = (
        "import sys; from asr_service.engines.commands import engines\n"
        "engines(['--help'], standalone_mode=False)\n"
        "assert not {'onnxruntime', 'onnx', 'torch', 'matplotlib'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Remove engines." in done.stdout


def test_a_command_that_is_not_there_is_told() -> None:
    result = CliRunner().invoke(engines, ["biuld"])
    assert result.exit_code == 2
    assert "No such command 'biuld'" in result.stderr


def test_help_says_how_to_write_a_profile() -> None:
    text = " ".join(CliRunner().invoke(engines, ["build", "--help"]).output.split())
    assert "ROWSxSECONDS, each MAX, OPT:MAX or MIN:OPT:MAX" in text
