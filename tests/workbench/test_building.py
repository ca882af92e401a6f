"""A recipe's engine: what it is built from and kept by, with TensorRT played on the CPU."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from asr_service.engines.cached import Workshop
from asr_service.engines.commands import engines
from asr_service.engines.ort.builder import Builder
from asr_service.engines.ort.cache import EngineCache
from asr_service.engines.ort.listing import repair
from asr_service.engines.ort.order import ENCODER, GRAPH, Order, Report
from asr_service.engines.ort.runtime import Array, Placement
from asr_service.engines.ort.settings import EnginePrecision, Settings
from serving.errors import ModelUnavailable
from support import toy_recipe
from support.tensorrt import ENGINE, INSTALLATION, FakeTensorrt
from workbench.builder import TRIAL, ordered
from workbench.building import Engine, Workplace, in_own_process
from workbench.exports import Export, Exports
from workbench.runtimes import OrtRuntime, answer, on_cpu

NO_GPU = replace(INSTALLATION, gpus=(), without_gpu="no GPU: NVIDIA's driver says Driver Not Loaded")


@dataclass
class Machine:
    root: Path
    tensorrt: FakeTensorrt = field(default_factory=FakeTensorrt)
    opened: list[tuple[str, Placement]] = field(default_factory=list)

    def engine(self, export: Export, precision: EnginePrecision = "fp16") -> Engine:
        workplace = Workplace(INSTALLATION, EngineCache(self.root / "engines"), self._work, self._open)
        return Engine(export, Settings("tensorrt", precision=precision), workplace)

    def _work(self, order: Order, folder: Path, tell: Callable[[str], None]) -> Report:
        return Builder(ordered(order, folder), order, folder, tell, self.tensorrt).build()

    def _open(self, graph: Path, placed: Placement, precision: str, trace: Path | None) -> OrtRuntime:
        self.opened.append((graph.name, placed))
        return on_cpu(graph.parent / ENGINE, threads=1)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return Exports(tmp_path_factory.mktemp("exports")).get(toy_recipe.__file__, "tiny", lambda _: None)


def told(_: str) -> None: ...


def test_an_engine_is_built_for_the_recipes_profile(machine: Machine, export: Export) -> None:
    record = machine.engine(export).build(told).record
    assert record is not None
    options = record.identity.options
    assert record.identity.profile == "1:2:4x8:20:40"
    assert options["trt_profile_min_shapes"] == "x:1x8x4,lengths:1"
    assert options["trt_profile_opt_shapes"] == "x:2x20x4,lengths:2"
    assert options["trt_profile_max_shapes"] == "x:4x40x4,lengths:4"


@pytest.mark.parametrize(
    ("precision", "flags"),
    [("fp16", ("True", "False")), ("fp32", ("False", "False")), ("bf16", ("False", "True"))],
)
def test_each_precision_is_an_engine_of_its_own(
    machine: Machine, export: Export, precision: EnginePrecision, flags: tuple[str, str]
) -> None:
    record = machine.engine(export, precision).build(told).record
    assert record is not None
    options = record.identity.options
    assert (options["trt_fp16_enable"], options["trt_bf16_enable"]) == flags


def test_what_is_there_is_not_built_again(machine: Machine, export: Export) -> None:
    engine = machine.engine(export)
    assert engine.build(told) == engine.build(told)
    assert machine.tensorrt.builds == 1


def test_the_record_tells_seconds_bytes_and_how_near_it_is(machine: Machine, export: Export) -> None:
    machine.tensorrt = FakeTensorrt(distort=lambda values: values * 1.01)
    entry = machine.engine(export).build(told)
    assert entry.record is not None
    assert entry.record.seconds > 0
    assert entry.record.engine_bytes == (entry.folder / ENGINE).stat().st_size
    assert entry.record.figures.relative_error == pytest.approx(0.01, rel=1e-3)
    machine.engine(export).judge(entry)


def upside_down(values: Array) -> Array:
    return -values


def test_an_engine_that_computes_something_else_is_kept_and_judged(machine: Machine, export: Export) -> None:
    machine.tensorrt = FakeTensorrt(distort=upside_down)
    entry = machine.engine(export).build(told)
    assert entry.problem() == ""
    with pytest.raises(
        ModelUnavailable, match=r"something else than the CPU: relative error 2, .* at most 0\.03"
    ):
        machine.engine(export).judge(entry)


def test_what_the_engine_was_tried_with_is_not_left_behind(machine: Machine, export: Export) -> None:
    assert TRIAL not in {path.name for path in machine.engine(export).build(told).folder.iterdir()}


def test_an_engine_is_opened_alone_and_computes(machine: Machine, export: Export) -> None:
    runtime = machine.engine(export).open(told)
    ((name, placed),) = machine.opened
    assert name == GRAPH
    assert placed.config["session.disable_cpu_ep_fallback"] == "1"
    inputs = export.recipe.example()
    got, expected = answer(runtime, inputs), answer(on_cpu(export.graph), inputs)
    np.testing.assert_allclose(got["out"], expected["out"], atol=1e-6)


def test_an_engine_that_needs_its_graph_is_opened_with_it(machine: Machine, export: Export) -> None:
    machine.tensorrt = FakeTensorrt(left={"CUDAExecutionProvider": ["ArgMax"]})
    entry = machine.engine(export).build(told)
    machine.engine(export).open(told)
    ((name, placed),) = machine.opened
    assert name == ENCODER
    assert dict(placed.providers)["TensorrtExecutionProvider"]["trt_engine_cache_path"] == str(entry.folder)


def test_an_engine_that_is_built_again_while_it_is_opened_is_refused(
    machine: Machine, export: Export
) -> None:
    engine = machine.engine(export)

    def rebuilding(graph: Path, *_: Any, trace: Path | None) -> OrtRuntime:
        (graph.parent / ENGINE).write_bytes(b"another")
        return on_cpu(export.graph)

    engine = replace(engine, workplace=replace(engine.workplace, open_runtime=rebuilding))
    with pytest.raises(ModelUnavailable, match=r"built the engine in .* again instead of loading it"):
        engine.open(told)


def test_the_process_that_builds_loads_no_pytorch() -> None:
    """Whose CUDA may be another than ONNX Runtime's."""
    code = "import sys, workbench.builder; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_process_builds_from_the_exported_file(export: Export, machine: Machine) -> None:
    """Without TensorRT here it comes as far as asking for it."""
    engine = machine.engine(export)
    stages: list[str] = []
    engine = replace(engine, workplace=replace(engine.workplace, work=in_own_process))
    with pytest.raises(ModelUnavailable, match=r"has no TensorrtExecutionProvider"):
        engine.build(stages.append)
    assert [stage.split()[0] for stage in stages] == ["computing", "rewriting", "building"]


def test_without_a_gpu_build_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    workshop = Workshop(cache=EngineCache(tmp_path), look=lambda: NO_GPU)
    result = CliRunner().invoke(engines, ["build", toy_recipe.__file__, "--size", "tiny"], obj=workshop)
    assert result.exit_code == 1
    assert result.stderr == "Error: no TensorRT: no GPU: NVIDIA's driver says Driver Not Loaded\n"


def test_a_damaged_engine_is_built_again_by_the_command_that_check_names(
    machine: Machine, export: Export, tmp_path: Path
) -> None:
    entry = machine.engine(export).build(told)
    (entry.folder / ENGINE).write_bytes(b"")
    told_by_check = repair(entry, "an engine is empty")
    assert told_by_check.endswith(f"run `duoscribe engines build {export.text} --profile 1:2:4x8:20:40`")
    workshop = Workshop(cache=EngineCache(tmp_path / "engines"), look=lambda: NO_GPU)
    arguments = ["build", export.text, "--size", "tiny", "--profile", "1:2:4x8:20:40"]
    result = CliRunner().invoke(engines, arguments, obj=workshop)
    assert "no TensorRT: no GPU" in result.stderr


def test_a_recipe_has_its_own_profile(tmp_path: Path) -> None:
    workshop = Workshop(cache=EngineCache(tmp_path), look=lambda: INSTALLATION)
    arguments = ["build", toy_recipe.__file__, "--profile", "4x30"]
    result = CliRunner().invoke(engines, arguments, obj=workshop)
    assert result.exit_code == 2
    assert "a recipe says itself for which batches its engine is: leave out --profile" in result.stderr
