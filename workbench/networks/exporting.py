"""PyTorch network → ONNX file, as the toolkits' own exports are: traced, named axes, metadata."""

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

OPSET = 17
IR_VERSION = 8

# Axes of each tensor whose length may vary, and what that length is called.
Axes = Mapping[str, Mapping[int, str]]


def numbered(**tensors: tuple[int, ...]) -> dict[str, dict[int, str]]:
    """The axes that may vary, by tensor, named as NeMo names them: tensor_dynamic_axes_1 and so on."""
    return {
        name: {axis: f"{name}_dynamic_axes_{number}" for number, axis in enumerate(axes, start=1)}
        for name, axes in tensors.items()
    }


def export(
    network: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: Axes,
    outputs: Axes,
    metadata: Mapping[str, object] | None = None,
) -> None:
    """Writes `path`, as run on `example`; `inputs` and `outputs` give names in order, and the axes that may vary.

    A model above protobuf's 2 GB keeps its weights in one file beside it, `path` with ".data" appended.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        traced = Path(folder) / path.name
        device = next((weights.device for weights in network.parameters()), torch.device("cpu"))
        _trace(network, tuple(tensor.to(device) for tensor in example), traced, inputs, outputs)
        # Above 2 GB the exporter writes a file for every weight beside the graph; here they are read back.
        model = onnx.load(traced)
    _keep_inputs(model, dict(zip(inputs, example, strict=True)), inputs)
    model.ir_version = IR_VERSION
    onnx.helper.set_model_props(model, {key: str(value) for key, value in (metadata or {}).items()})
    save(model, path)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Writes a model, its weights beside it only where they do not fit into one protobuf message."""
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) < 2**31 - 2**24:
        onnx.save(model, path)
        return
    data = path.with_name(f"{path.name}.data")
    # The writer appends to a file that is there.
    data.unlink(missing_ok=True)
    onnx.save(model, path, save_as_external_data=True, location=data.name)


def _keep_inputs(model: onnx.ModelProto, example: Mapping[str, Tensor], axes: Axes) -> None:
    """Declares the inputs that the exporter dropped since nothing depends on them: programs feed them all the same."""
    left = {value.name for value in model.graph.input}
    for name, tensor in example.items():
        if name not in left:
            dtype = onnx.helper.np_dtype_to_tensor_dtype(tensor.numpy().dtype)
            shape = [axes[name].get(axis, size) for axis, size in enumerate(tensor.shape)]
            model.graph.input.append(onnx.helper.make_tensor_value_info(name, dtype, shape))


def _trace(network: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: Axes, outputs: Axes) -> None:
    axes = {name: dict(varying) for name, varying in {**inputs, **outputs}.items() if varying}
    with torch.inference_mode(), warnings.catch_warnings():
        # The toolkits' exports are traces, and the exporter warns that it is the older of two.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            example,
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
        )
