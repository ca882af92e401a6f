"""Building an engine: what is written, compared and reported, with TensorRT played on the CPU."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from json import dumps, loads
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from asr_service.engines.ort.build import build, in_own_process
from asr_service.engines.ort.builder import Builder
from asr_service.engines.ort.cache import EngineCache
from asr_service.engines.ort.finished import finished_graph
from asr_service.engines.ort.gate import Reference
from asr_service.engines.ort.network import gate_input
from asr_service.engines.ort.order import ENCODER, GRAPH, REFERENCE, Order, Report, read_order
from asr_service.engines.ort.profiles import parse
from asr_service.engines.ort.recipe import Recipe, build_command, recipes, rules_revision
from asr_service.engines.ort.runtime import Placement, Session
from asr_service.engines.ort.settings import Bounds, Settings
from serving.errors import ModelUnavailable
from support.tensorrt import ENGINE, H200, INSTALLATION, FakeTensorrt, tiny_network, write_encoder

SETTINGS = Settings(provider="tensorrt", profiles=(parse("1:2:8x0.5:1:2"),))
BOUNDS = Bounds(0.03, 0.9)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    write_encoder(folder / "encoder.onnx")
    return folder


@pytest.fixture
def recipe(model: Path) -> Recipe:
    (made,) = recipes(tiny_network(model), SETTINGS, INSTALLATION, H200, fingerprint="f00d")
    return made


class InThisProcess:
    """Carries out orders with a fake TensorRT, and remembers them."""

    def __init__(self, model: Path, tensorrt: FakeTensorrt) -> None:
        self.orders: list[Order] = []
        self._network = tiny_network(model)
        self._tensorrt = tensorrt

    def __call__(self, order: Order, folder: Path, tell: Any) -> Report:
        self.orders.append(order)
        return Builder(self._network, order, folder, tell, self._tensorrt).build()


def built(recipe: Recipe, tmp_path: Path, tensorrt: FakeTensorrt, stages: list[str] | None = None) -> Any:
    work = InThisProcess(recipe.network.encoder.parent, tensorrt)
    tell = (stages if stages is not None else []).append
    cache = EngineCache(tmp_path / "engines")
    return build(recipe, cache, model="tiny", bounds=BOUNDS, tell=tell, work=work)


def test_the_engine_lies_beside_a_graph_that_names_it_and_the_reference(
    recipe: Recipe, tmp_path: Path
) -> None:
    entry = built(recipe, tmp_path, FakeTensorrt())
    names = {path.name for path in entry.folder.iterdir()}
    assert names == {ENGINE, GRAPH, REFERENCE, "engine.json", ".duoscribe.json"}
    assert entry.problem(thorough=True) == ""


def test_the_record_tells_how_it_went(recipe: Recipe, tmp_path: Path) -> None:
    record = built(recipe, tmp_path, FakeTensorrt(distort=lambda values: values * 1.01)).record
    assert record.identity == recipe.identity
    assert (record.model, record.precision, record.graph, record.finding) == ("tiny", "fp16", GRAPH, "")
    assert record.engine_bytes > 0
    assert record.seconds > 0
    assert record.figures.relative_error == pytest.approx(0.01, rel=1e-3)
    assert record.figures.token_agreement == 1
    assert len(record.tokens) == 2


def test_the_stages_are_told_in_order(recipe: Recipe, tmp_path: Path) -> None:
    stages: list[str] = []
    built(recipe, tmp_path, FakeTensorrt(), stages)
    told = " / ".join(stages)
    positions = [told.index(word) for word in ("reference", "rewriting", "building", "comparing")]
    assert positions == sorted(positions)


def test_an_engine_that_computes_something_else_is_not_kept(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="something else than the CPU"):
        built(recipe, tmp_path, FakeTensorrt(distort=lambda values: values[..., ::-1].copy()))
    assert EngineCache(tmp_path / "engines").entries() == []


def test_an_engine_that_cannot_be_loaded_alone_keeps_the_encoder(recipe: Recipe, tmp_path: Path) -> None:
    stages: list[str] = []
    entry = built(recipe, tmp_path, FakeTensorrt(loads_alone=False), stages)
    assert entry.record.graph == ENCODER
    assert {ENGINE, ENCODER} <= {path.name for path in entry.folder.iterdir()}
    assert not (entry.folder / GRAPH).exists()
    assert "fails alone: no such node" in " ".join(stages)


def test_what_tensorrt_leaves_to_others_is_told(recipe: Recipe, tmp_path: Path) -> None:
    left = {"CUDAExecutionProvider": ["Cast", "Where", "Cast", "MemcpyFromHost"]}
    entry = built(recipe, tmp_path, FakeTensorrt(left=left))
    assert entry.record.finding == "TensorRT left 3 nodes to CUDA: Cast 2, Where 1"
    assert entry.record.graph == ENCODER


def test_an_engine_that_was_not_written_is_a_failure(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"wrote no engine.*disk is full"):
        built(recipe, tmp_path, FakeTensorrt(writes_engine=False))


def test_an_encoder_of_which_tensorrt_takes_nothing_is_a_failure(recipe: Recipe, tmp_path: Path) -> None:
    class TakesNothing(FakeTensorrt):
        def _write_trace(self, path: Path) -> None:
            path.write_text(
                '[{"cat": "Node", "args": {"op_name": "Tanh", "provider": "CUDAExecutionProvider"}}]'
            )

    with pytest.raises(ModelUnavailable, match="takes no part of this encoder"):
        built(recipe, tmp_path, TakesNothing())


def test_what_is_whole_is_not_built_again(recipe: Recipe, tmp_path: Path) -> None:
    tensorrt = FakeTensorrt()
    assert built(recipe, tmp_path, tensorrt) == built(recipe, tmp_path, tensorrt)
    assert tensorrt.builds == 1


def test_the_reference_is_the_cpus(recipe: Recipe, tmp_path: Path) -> None:
    entry = built(recipe, tmp_path, FakeTensorrt(distort=lambda values: values * 1.01))
    reference = Reference.load(entry.folder / REFERENCE, entry.record.tokens)
    outputs = Session(recipe.network.encoder, Placement()).run(dict(reference.inputs))
    figures = reference.compare(
        {name: value.numpy() for name, value in outputs.items()}, recipe.network.search(Placement())(outputs)
    )
    assert (figures.relative_error, figures.token_agreement) == (0, 1)


@pytest.mark.parametrize(
    ("profile", "rows", "seconds"), [("1:2:8x0.5:1:2", 2, 1.0), ("1x30", 1, 30.0), ("4:4:4x0.5:3:3", 4, 3.0)]
)
def test_the_gate_hears_a_batch_that_the_profile_admits(profile: str, rows: int, seconds: float) -> None:
    batch = gate_input(parse(profile))
    assert [len(samples) for samples in batch] == [round(seconds * 16_000)] * rows
    assert all(not np.array_equal(one, batch[0]) for one in batch[1:])


def test_the_graph_of_an_engine_is_one_node_with_the_encoders_face(model: Path, tmp_path: Path) -> None:
    (tmp_path / GRAPH).write_bytes(finished_graph(model / "encoder.onnx", ENGINE))
    made, encoder = onnx.load(tmp_path / GRAPH), onnx.load(model / "encoder.onnx")
    assert [node.op_type for node in made.graph.node] == ["EPContext"]
    assert list(made.graph.input) == list(encoder.graph.input)
    assert list(made.graph.output) == list(encoder.graph.output)
    assert made.metadata_props == encoder.metadata_props


def test_onnxruntime_knows_the_graph_of_an_engine_and_keeps_it_from_the_cpu(
    model: Path, tmp_path: Path
) -> None:
    (tmp_path / GRAPH).write_bytes(finished_graph(model / "encoder.onnx", ENGINE))
    with pytest.raises(ModelUnavailable, match="EPContext"):
        Session(tmp_path / GRAPH, Placement())


def test_an_order_survives_the_way_to_another_process(recipe: Recipe, tmp_path: Path) -> None:
    order = Order("model", str(recipe.profile), True, recipe.building(tmp_path), recipe.finished)
    assert read_order(loads(dumps(asdict(order)))) == order


def talking(text: str) -> Sequence[str]:
    return (sys.executable, "-c", text)


def order(recipe: Recipe, tmp_path: Path) -> Order:
    return Order("model", str(recipe.profile), True, recipe.building(tmp_path), recipe.finished)


REPORT = Report(1.5, 10, 0.002, 1.0, [[1, 2]], GRAPH, "")


def test_a_process_tells_its_stages_and_reports(recipe: Recipe, tmp_path: Path) -> None:
    stages: list[str] = []
    text = f"import json; print(json.dumps({{'stage': 'one'}})); print(json.dumps({{'report': {asdict(REPORT)!r}}}))"
    assert in_own_process(order(recipe, tmp_path), tmp_path, stages.append, command=talking(text)) == REPORT
    assert stages == ["one"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import os; os.abort()", r"ended by SIGABRT"),
        ("import os; os.kill(os.getpid(), 11)", r"ended by SIGSEGV"),
        ("import sys; sys.exit('no CUDA today')", r"ended with status 1, and its last lines are above"),
        ("pass", r"ended with status 0"),
        ("""print('{"error": "GPU 0 is full"}')""", r"could not be built: GPU 0 is full"),
    ],
)
def test_however_a_process_ends_this_one_goes_on(
    recipe: Recipe, tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ModelUnavailable, match=told):
        in_own_process(order(recipe, tmp_path), tmp_path, lambda _: None, command=talking(text))


def test_what_a_failed_process_said_is_shown(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "import sys; print('libcudnn.so.9: not found', file=sys.stderr); sys.exit(1)"
    with pytest.raises(ModelUnavailable):
        in_own_process(order(recipe, tmp_path), tmp_path, lambda _: None, command=talking(text))
    assert capsys.readouterr().err == "libcudnn.so.9: not found\n"


def test_a_process_whose_starter_gives_up_is_ended(recipe: Recipe, tmp_path: Path) -> None:
    def give_up(_: str) -> None:
        raise KeyboardInterrupt

    text = """import time; print('{"stage": "one"}', flush=True); time.sleep(600)"""
    with pytest.raises(KeyboardInterrupt):
        in_own_process(order(recipe, tmp_path), tmp_path, give_up, command=talking(text))


def test_every_profile_has_an_engine_of_its_own(model: Path) -> None:
    settings = replace(SETTINGS, profiles=(parse("1:2:8x0.5:1:2"), parse("4x10")))
    one, other = recipes(tiny_network(model), settings, INSTALLATION, H200, fingerprint="f00d")
    assert one.identity.profile == "1:2:8x0.5:1:2"
    assert "profile 1:2:8x0.5:1:2 instead of 1:4:4x0.5:10:10" in one.identity.differences(other.identity)


@pytest.mark.parametrize(
    "changed",
    [
        {"precision": "fp32"},
        {"options": {"trt_builder_optimization_level": "5"}},
        {"options": {"session.x": "1"}},
        {"profiles": (parse("8x3"),)},
    ],
)
def test_what_decides_what_an_engine_is_decides_its_identity(model: Path, changed: dict[str, Any]) -> None:
    keys = {
        made.identity.key
        for settings in (SETTINGS, replace(SETTINGS, **changed))
        for made in recipes(tiny_network(model), settings, INSTALLATION, H200, fingerprint="f00d")
    }
    assert len(keys) == 2


def test_an_encoder_rewritten_by_other_rules_is_another_engine(tmp_path: Path) -> None:
    for name, rules in (("old", "RULES = ()"), ("same", "RULES = ()"), ("new", "RULES = (pad,)")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rules.py").write_text(rules)
    old, same, new = (rules_revision(tmp_path / name) for name in ("old", "same", "new"))
    assert old == same != new


def test_where_an_engine_lies_and_which_of_two_equal_gpus_runs_it_do_not(model: Path) -> None:
    network = tiny_network(model)
    (here,) = recipes(network, SETTINGS, INSTALLATION, H200, fingerprint="f00d")
    (there,) = recipes(
        network, replace(SETTINGS, device_id=1), INSTALLATION, replace(H200, index=1), fingerprint="f00d"
    )
    assert here.identity == there.identity


def test_the_command_that_builds_is_the_one_to_type() -> None:
    assert build_command("parakeet", Settings()) == "duoscribe engines build parakeet"
    settings = Settings(
        profiles=(parse("8:32x30"), parse("4x80")),
        precision="bf16",
        device_id=1,
        options={"trt_max_workspace_size": "1"},
    )
    assert build_command("my model", settings) == (
        "duoscribe engines build 'my model' --profile 1:8:32x0.5:30:30 --profile 1:4:4x0.5:80:80 --engine-precision bf16 "
        "--device-id 1 --provider-option trt_max_workspace_size=1"
    )
