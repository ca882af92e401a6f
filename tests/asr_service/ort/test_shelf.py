"""A model's engines on the way into a service: found, built where asked for, loaded without building, and judged."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime import OrtValue

from asr_service.engines.ort.builder import Builder
from asr_service.engines.ort.cache import EngineCache
from asr_service.engines.ort.choice import Choice
from asr_service.engines.ort.order import Order, Report
from asr_service.engines.ort.profiles import parse
from asr_service.engines.ort.runtime import Placement, Session
from asr_service.engines.ort.settings import Settings
from asr_service.engines.ort.shelf import LoadedEngine, Shelf
from serving.errors import ModelUnavailable
from support.tensorrt import ENGINE, H200, INSTALLATION, FakeTensorrt, tiny_network, write_encoder

PROFILES = (parse("1:2:8x0.5:1:2"), parse("1:1:2x0.5:2:4"))
ON_H200 = Choice("tensorrt", "asked for", H200)


@dataclass
class Machine:
    """A model and a TensorRT; `shelf` is what a service that starts has of them."""

    model: Path
    cache: EngineCache
    tensorrt: FakeTensorrt

    def shelf(self, **settings: Any) -> Shelf:
        def work(order: Order, folder: Path, tell: Callable[[str], None]) -> Report:
            return Builder(tiny_network(self.model), order, folder, tell, self.tensorrt).build()

        return Shelf(
            tiny_network(self.model),
            Settings(**{"provider": "tensorrt", "profiles": PROFILES, **settings}),
            INSTALLATION,
            "tiny",
            "f00d",
            self.cache,
            work,
            self.tensorrt,
        )

    def build(self) -> None:
        self.shelf().build(ON_H200, lambda _: lambda _: None)
        self.tensorrt.opened.clear()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "model").mkdir()
    write_encoder(tmp_path / "model" / "encoder.onnx")
    return Machine(tmp_path / "model", EngineCache(tmp_path / "engines"), FakeTensorrt())


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(ModelUnavailable) as raised:
        action()
    return raised.value.message


def heard(engine: LoadedEngine, shelf: Shelf) -> tuple[dict[str, OrtValue], list[list[int]]]:
    outputs = engine.session.run(engine.inputs)
    return outputs, shelf.network.search(Placement())(outputs)


def test_without_engines_a_start_is_refused_with_the_command(machine: Machine) -> None:
    told = refusal(lambda: machine.shelf().open(ON_H200))
    assert (
        "run `duoscribe engines build tiny --profile 1:2:8x0.5:1:2 --profile 1:1:2x0.5:2:4`, or start the service "
        "with --build-engines" in told
    )
    assert machine.tensorrt.builds == 0


def test_with_some_of_the_engines_a_start_is_refused(machine: Machine) -> None:
    machine.shelf(profiles=PROFILES[:1]).build(ON_H200, lambda _: lambda _: None)
    assert "for batches 1:1:2x0.5:2:4 on this machine" in refusal(lambda: machine.shelf().open(ON_H200))


def test_a_start_loads_every_profiles_engine_and_builds_none(machine: Machine) -> None:
    machine.build()
    loaded = machine.shelf().open(ON_H200)
    assert [engine.profile for engine in loaded] == list(PROFILES)
    assert machine.tensorrt.builds == len(PROFILES)
    assert machine.model / "encoder.onnx" not in machine.tensorrt.opened


def test_loaded_engines_have_the_encoders_metadata_and_pass_the_gate(machine: Machine) -> None:
    machine.build()
    shelf = machine.shelf()
    for engine in shelf.open(ON_H200):
        figures = engine.judge(*heard(engine, shelf))
        assert (figures.relative_error, figures.token_agreement) == (0, 1)
        assert list(engine.session.outputs) == ["out", "out_lens"]


def test_an_engine_that_computes_something_else_by_now_does_not_serve(machine: Machine) -> None:
    machine.build()
    wrong = FakeTensorrt(distort=lambda values: values + np.float32(0.5))
    shelf = replace(machine.shelf(), open_session=wrong)
    engine = shelf.open(ON_H200)[0]
    assert "relative error" in refusal(lambda: engine.judge(*heard(engine, shelf)))


def test_an_engine_with_which_nothing_is_heard_does_not_serve(machine: Machine) -> None:
    machine.build()
    shelf = machine.shelf()
    engine = shelf.open(ON_H200)[0]
    outputs, _ = heard(engine, shelf)
    assert "0.0% of the tokens agree" in refusal(lambda: engine.judge(outputs, [[], []]))


def test_building_before_serving_is_asked_for_by_a_flag(machine: Machine) -> None:
    told: list[str] = []
    loaded = machine.shelf(build=True).open(
        ON_H200, lambda recipe: lambda stage: told.append(f"{recipe.name}: {stage}")
    )
    assert len(loaded) == machine.tensorrt.builds == len(PROFILES)
    assert any(line.startswith("encoder.onnx 1:2:8x0.5:1:2: building") for line in told)
    machine.shelf(build=True).open(ON_H200)
    assert machine.tensorrt.builds == len(PROFILES)


def test_an_engine_that_is_built_again_while_it_is_loaded_is_refused(machine: Machine) -> None:
    machine.build()

    def rebuilding(model: Path, placement: Placement) -> Any:
        (model.parent / ENGINE).write_bytes(b"another")
        return Session(machine.model / "encoder.onnx", Placement())

    shelf = replace(machine.shelf(), open_session=rebuilding)
    assert "again instead of loading it" in refusal(lambda: shelf.open(ON_H200))


def test_an_engine_kept_with_its_encoder_is_loaded_with_it(machine: Machine) -> None:
    machine.tensorrt = FakeTensorrt(loads_alone=False)
    machine.build()
    loaded = machine.shelf().open(ON_H200)
    assert [path.name for path in machine.tensorrt.opened] == ["encoder.onnx"] * len(PROFILES)
    assert machine.tensorrt.builds == len(PROFILES)
    assert loaded[0].record.graph == "encoder.onnx"


def test_a_truncated_engine_is_refused_with_the_command(machine: Machine) -> None:
    machine.build()
    entry = machine.cache.entries()[0]
    (entry.folder / ENGINE).write_bytes(b"")
    assert "is damaged" in refusal(lambda: machine.shelf().open(ON_H200))


def test_a_damaged_reference_is_refused(machine: Machine) -> None:
    machine.build()
    for entry in machine.cache.entries():
        path = entry.folder / "reference.npz"
        path.write_bytes(b"X" * path.stat().st_size)
    assert "reference.npz cannot be read" in refusal(lambda: machine.shelf().open(ON_H200))


def test_an_engine_of_another_gpu_is_refused(machine: Machine) -> None:
    machine.build()
    elsewhere = replace(ON_H200, gpu=replace(H200, name="NVIDIA A10"))
    assert "now gpu NVIDIA A10 instead of NVIDIA H200" in refusal(lambda: machine.shelf().open(elsewhere))


def test_auto_takes_tensorrt_once_its_engines_are_there(machine: Machine) -> None:
    machine.build()
    assert machine.shelf(provider="auto").choose(()).provider == "tensorrt"


def test_auto_takes_cuda_while_no_engine_is_there_and_says_what_to_do(machine: Machine) -> None:
    choice = machine.shelf(provider="auto").choose(())
    assert choice.provider == "cuda"
    assert choice.reason.startswith("no TensorRT: there is no TensorRT engine of encoder.onnx")
    assert "duoscribe engines build tiny" in choice.reason


def test_auto_takes_tensorrt_where_it_may_build(machine: Machine) -> None:
    assert machine.shelf(provider="auto", build=True).choose(()).provider == "tensorrt"


def test_tensorrt_that_was_asked_for_is_never_replaced(machine: Machine) -> None:
    assert machine.shelf().choose(()).provider == "tensorrt"


def test_a_choice_without_a_gpu_has_no_engines(machine: Machine) -> None:
    assert "no TensorRT: no GPU" in refusal(lambda: machine.shelf().open(Choice("cpu", "no GPU")))
