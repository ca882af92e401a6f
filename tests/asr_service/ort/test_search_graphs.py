"""How a search's graph is made of a model's files: what lies in the loop, and which files it cannot be made of."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, version_converter
from onnxruntime.quantization import quantize_dynamic

from asr_service.engines.ort.graphs.builder import INT64
from asr_service.engines.ort.graphs.inlining import read
from asr_service.engines.ort.graphs.lean import lean
from asr_service.engines.ort.graphs.lstm import write_out_lstms
from asr_service.engines.ort.graphs.probe import measure
from asr_service.engines.ort.graphs.rules import Rules
from asr_service.engines.ort.graphs.search import compose
from asr_service.engines.ort.graphs.squeezing import squeeze
from asr_service.engines.ort.graphs.transducer import Transducer, fused, recurrent
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.search import nemo_search, stateless_search
from serving.errors import ModelUnavailable
from support.reference_search import RecurrentReference, StatelessReference
from support.searches import CASES, RNNT, TDT, alike, encoded, rows

ON_CUDA = {
    *(
        "Add",
        "And",
        "Cast",
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "Gemm",
        "Identity",
    ),
    *(
        "Less",
        "LogSoftmax",
        "MatMul",
        "Max",
        "Min",
        "Mul",
        "Not",
        "Or",
        "ReduceMax",
        "Relu",
        "Reshape",
        "Sigmoid",
    ),
    *("Slice", "Split", "Squeeze", "Tanh", "TopK", "Transpose", "Unsqueeze", "Where"),
}
"""Have CUDA kernels for these types in ONNX Runtime 1.17 to 1.31 (docs/OperatorKernels.md)."""


def composed(model: Transducer, *, tokens: int = 24, window: int = 1) -> onnx.ModelProto:
    rules = Rules(tokens, blank=tokens - 1, most=5, durations=model.outputs - tokens)
    return compose(model, rules, window=window, all_rows=True)


def in_loop(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    (loop,) = (node for node in graph.graph.node if node.op_type == "Loop")
    return list(helper.get_attribute_value(loop.attribute[0]).node)


def kinds(nodes: list[onnx.NodeProto]) -> list[str]:
    return [node.op_type for node in nodes]


@pytest.fixture
def one_file(tmp_path: Path) -> Path:
    TDT.write_fused(tmp_path / "decoder_joint.onnx")
    return tmp_path / "decoder_joint.onnx"


@pytest.fixture
def two_files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "decoder.onnx", tmp_path / "joiner.onnx"
    RNNT.write_recurrent(*paths)
    return paths


@pytest.mark.parametrize("window", [1, 8])
def test_every_node_of_a_step_has_a_cuda_kernel(window: int, two_files: tuple[Path, Path]) -> None:
    step = in_loop(composed(lean(recurrent(*two_files)), window=window))
    assert set(kinds(step)) <= ON_CUDA


def test_a_step_has_few_nodes(one_file: Path) -> None:
    """Each takes a launch; as the file has it, they would be half as many again."""
    assert len(in_loop(composed(lean(fused(one_file))))) <= 58


def test_frames_are_projected_before_the_loop(one_file: Path) -> None:
    graph = composed(lean(fused(one_file)))
    assert (
        kinds(list(graph.graph.node)).count("Gemm") == 4
    )  # frames, two layers of the first prediction, and its projection
    assert (
        kinds(in_loop(graph)).count("Gemm") == 4
    )  # two layers of predictions, their projection, and the logits


def test_weights_lie_outside_the_loop_and_once(one_file: Path) -> None:
    graph = composed(lean(fused(one_file)))
    (loop,) = (node for node in graph.graph.node if node.op_type == "Loop")
    inside = helper.get_attribute_value(loop.attribute[0]).initializer
    assert max(np.prod(tensor.dims) for tensor in inside) <= TDT.tokens
    names = [tensor.name for tensor in graph.graph.initializer]
    assert len(names) == len(set(names))


def test_graphs_load_in_old_versions(one_file: Path) -> None:
    graph = composed(lean(fused(one_file)))
    onnx.checker.check_model(graph, full_check=True)
    assert graph.ir_version == 8


def test_a_final_log_softmax_is_left_out(tmp_path: Path) -> None:
    replace(RNNT, log_softmax=True).write_fused(tmp_path / "model.onnx")
    assert "LogSoftmax" not in kinds(list(fused(tmp_path / "model.onnx").parts.joint))


def test_lstms_are_written_out_and_their_states_unstacked(one_file: Path) -> None:
    plain = fused(one_file)
    made = lean(plain)
    assert {"LSTM", "Slice", "Concat"} <= set(kinds(list(plain.parts.labels)))
    assert "LSTM" not in kinds(list(made.parts.labels))
    assert [state.shape for state in made.states] == [(-1, TDT.hidden)] * 4


def test_lean_models_compute_the_same(one_file: Path) -> None:
    inputs = {
        "frames": TDT.frames(5, 30).transpose(0, 2, 1).copy(),
        "starts": np.arange(5) * 30,
        "ends": np.arange(5) * 30 + 30,
        "last": np.array(149),
        "limit": np.array(150),
    }
    model = fused(one_file)
    ours, theirs = (
        onnxruntime.InferenceSession(composed(one).SerializeToString()).run(None, inputs)
        for one in (lean(model), squeeze(model, measure(model)))
    )
    assert (ours[0] >= 0).sum() > 20
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_states_that_are_used_as_a_whole_stay_so(one_file: Path) -> None:
    model = onnx.load(one_file)
    first = next(value.name for value in model.graph.input if value.name == "input_states_1")
    for node in model.graph.node:
        if node.op_type == "Slice" and node.input[0] == first:
            node.input[0] = "doubled"
    model.graph.node.insert(0, helper.make_node("Add", [first, first], ["doubled"]))
    onnx.save(model, one_file)
    shapes = {state.shape for state in lean(fused(one_file)).states}
    assert shapes == {(TDT.layers, -1, TDT.hidden), (-1, TDT.hidden)}


def test_the_first_layers_products_of_labels_are_looked_up(one_file: Path) -> None:
    made = lean(fused(one_file))
    gather = made.parts.labels[0]
    assert gather.op_type == "Gather"
    assert list(made.weights[gather.input[0]].dims) == [TDT.tokens, 4 * TDT.hidden]


def test_embeddings_that_are_changed_first_are_not_looked_up(one_file: Path) -> None:
    model = onnx.load(one_file)
    embed = next(node for node in model.graph.node if node.op_type == "Gather")
    transposed = next(node for node in model.graph.node if embed.output[0] in node.input)
    model.graph.node.insert(1, helper.make_node("Neg", list(embed.output), ["negative"]))
    transposed.input[0] = "negative"
    onnx.save(model, one_file)
    made = lean(fused(one_file))
    assert list(made.weights[made.parts.labels[0].input[0]].dims) == [TDT.tokens, TDT.hidden]
    search = nemo_search(one_file, None, tokens=TDT.tokens).on(Placement(), frames="out")
    frames = TDT.frames(4, 30)
    found = rows(search(encoded(frames.transpose(0, 2, 1), [30] * 4)))
    alike(found, map(RecurrentReference(one_file, None, tokens=TDT.tokens).tdt, frames))


@pytest.mark.parametrize("bias", ["computed", "of the rows", "missing"])
def test_what_is_no_plain_bias_is_added_as_it_is(bias: str, one_file: Path) -> None:
    model = onnx.load(one_file)
    products = {node.output[0]: node for node in model.graph.node if node.op_type == "MatMul"}
    node = next(node for node in model.graph.node if node.op_type == "Add" and node.input[0] in products)
    if bias == "computed":
        model.graph.node.insert(0, helper.make_node("Neg", [node.input[1]], ["negative"]))
        node.input[1] = "negative"
    elif bias == "of the rows":
        node.input[1] = node.input[0]
    else:
        node.op_type = "Identity"
        del node.input[1]
    onnx.save(model, one_file)
    search = nemo_search(one_file, None, tokens=TDT.tokens).on(Placement(), frames="out")
    frames = TDT.frames(4, 30)
    batch = encoded(frames.transpose(0, 2, 1), [30] * 4)
    alike(rows(search(batch)), map(RecurrentReference(one_file, None, tokens=TDT.tokens).tdt, frames))


@pytest.mark.parametrize(
    "attribute", [("direction", "reverse"), ("clip", 3.0), ("activations", ["Tanh"] * 3)]
)
def test_other_lstms_stay_as_they_are(attribute: tuple[str, object], one_file: Path) -> None:
    model = onnx.load(one_file)
    for node in model.graph.node:
        if node.op_type == "LSTM":
            node.attribute.append(helper.make_attribute(*attribute))
    onnx.save(model, one_file)
    assert kinds(list(write_out_lstms(fused(one_file)).parts.labels)).count("LSTM") == TDT.layers


def test_files_of_different_age_fit_together(tmp_path: Path) -> None:
    decoder, joiner = tmp_path / "decoder.onnx", tmp_path / "joiner.onnx"
    replace(RNNT, opset=11).write_stateless(decoder, joiner)
    onnx.save(version_converter.convert_version(onnx.load(joiner), 18), joiner)
    assert {model.opset for model in read(decoder, joiner)} == {18}
    frames = RNNT.frames(4, 30)
    reference = StatelessReference(decoder, joiner, RNNT.context)
    search = stateless_search(decoder, joiner).on(Placement(), frames="out")
    alike(rows(search(encoded(frames, [30] * 4))), map(reference, frames))


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_any_opset_will_do(opset: int, tmp_path: Path) -> None:
    case = replace(CASES["tdt"], decoder=replace(TDT, opset=opset))
    search, reference = case.load(tmp_path)
    frames = TDT.frames(4, 30)
    alike(rows(search(case.encoded(frames, [30] * 4))), map(reference, frames))


def load_stateless(decoder: Path, joiner: Path) -> None:
    stateless_search(decoder, joiner).on(Placement(), frames="out")


def load_recurrent(decoder: Path, joiner: Path) -> None:
    nemo_search(decoder, joiner, tokens=24).on(Placement(), frames="out")


def load_fused(decoder: Path, _joiner: Path) -> None:
    nemo_search(decoder, None, tokens=24).on(Placement(), frames="out")


@pytest.mark.parametrize("load", [load_stateless, load_recurrent, load_fused])
@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_damaged_files_are_refused(
    load: Callable[[Path, Path], None], content: bytes | None, two_files: tuple[Path, Path]
) -> None:
    decoder, _ = two_files
    decoder.write_bytes(decoder.read_bytes()[:-100] if content is None else content)
    with pytest.raises(ModelUnavailable, match=r"decoder\.onnx"):
        load(*two_files)


def test_files_of_another_role_are_refused(two_files: tuple[Path, Path], one_file: Path) -> None:
    decoder, joiner = two_files
    for load, files in (
        (load_recurrent, (joiner, decoder)),
        (load_recurrent, (decoder, decoder)),
        (load_recurrent, (joiner, joiner)),
        (load_stateless, (joiner, decoder)),
        (load_stateless, two_files),
        (load_fused, (decoder, joiner)),
        (load_fused, (joiner, joiner)),
    ):
        with pytest.raises(ModelUnavailable):
            load(*files)


def test_a_decoder_for_single_utterances_is_refused(two_files: tuple[Path, Path]) -> None:
    decoder, _ = two_files
    model = onnx.load(decoder)
    for node in model.graph.node:
        if node.op_type == "Squeeze":
            node.op_type = "Reshape"
            shape = helper.make_tensor(node.output[0] + " shape", INT64, [3], [1, 1, RNNT.hidden])
            model.graph.initializer.append(shape)
            node.input[1] = shape.name
    onnx.save(model, decoder)
    with pytest.raises(ModelUnavailable, match="batch axis"):
        load_recurrent(*two_files)


def test_dynamically_quantised_files_are_refused(two_files: tuple[Path, Path]) -> None:
    _, joiner = two_files
    quantize_dynamic(joiner, joiner)
    with pytest.raises(ModelUnavailable, match=r"joiner\.onnx .* fp32"):
        load_recurrent(*two_files)


def test_sizes_that_the_file_does_not_say_are_refused(two_files: tuple[Path, Path]) -> None:
    decoder, joiner = two_files
    for path, axis in ((decoder, 2), (joiner, 1)):
        model = onnx.load(path)
        before = model.SerializeToString()
        for value in model.graph.input:
            if len(value.type.tensor_type.shape.dim) == 3:
                value.type.tensor_type.shape.dim[axis].dim_param = "any"
        onnx.save(model, path)
        with pytest.raises(ModelUnavailable, match="does not say how large"):
            load_recurrent(*two_files)
        path.write_bytes(before)


def test_a_tdt_looks_at_one_frame_at_a_time(one_file: Path) -> None:
    with pytest.raises(ValueError, match="one frame"):
        composed(lean(fused(one_file)), window=2)
