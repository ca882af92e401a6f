"""Triton's configurations, as messages of its own schema."""

from collections.abc import Iterable, Mapping, Sequence

from tritonclient.grpc import model_config_pb2 as triton

from asr_service.triton.options import Options
from asr_service.triton.parts import Part, Sample
from asr_service.triton.tensors import Tensor

NEWEST = -1
"""In place of a version."""


def of_part(name: str, part: Part, options: Options) -> triton.ModelConfig:
    """Graphs get their batches from Triton; what Python does of a request costs less than to wait for others."""
    config = _config(name, part.inputs, part.outputs, options)
    config.backend = part.backend
    kind = "KIND_GPU" if options.on_gpu and part.backend == "onnxruntime" else "KIND_CPU"
    config.instance_group.add(count=options.instances, kind=triton.ModelInstanceGroup.Kind.Value(kind))
    if part.backend == "onnxruntime":
        config.dynamic_batching.SetInParent()
    _set(config, part.parameters)
    if part.accelerator:
        accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
        accelerators.add(name="tensorrt", parameters=part.accelerator)
    kinds = {tensor.name: tensor.kind for tensor in part.inputs}
    config.model_warmup.extend(_warmup(sample, kinds) for sample in part.samples)
    return config


def of_ensemble(
    name: str,
    parts: Iterable[Part],
    options: Options,
    *,
    takes: Sequence[Tensor],
    gives: Sequence[Tensor],
    about: Mapping[str, str],
) -> triton.ModelConfig:
    """Parts are found by `part_name`; `about` are parameters, which only people read."""
    config = _config(name, takes, gives, options)
    config.platform = "ensemble"
    _set(config, about)
    for part in parts:
        step = config.ensemble_scheduling.step.add(model_name=part_name(name, part), model_version=NEWEST)
        step.input_map.update(part.takes)
        step.output_map.update(part.gives)
    return config


def part_name(ensemble: str, part: Part) -> str:
    return f"{ensemble}_{part.name}"


def data_file(sample: Sample, tensor: str) -> str:
    """Of a number that a part is tried with, in the part's folder for these."""
    return f"{sample.name}_{tensor}"


def _config(
    name: str, takes: Iterable[Tensor], gives: Iterable[Tensor], options: Options
) -> triton.ModelConfig:
    config = triton.ModelConfig(name=name, max_batch_size=options.profile.rows.max)
    for tensor in takes:
        described = config.input.add(name=tensor.name, data_type=_kind(tensor.kind), dims=tensor.dims)
        described.optional = tensor.optional
        _reshape(described, tensor)
    for tensor in gives:
        _reshape(config.output.add(name=tensor.name, data_type=_kind(tensor.kind), dims=tensor.dims), tensor)
    return config


def _set(config: triton.ModelConfig, parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        config.parameters[name].string_value = value


def _reshape(described: triton.ModelInput | triton.ModelOutput, tensor: Tensor) -> None:
    """One number a row has no axis in a graph; an empty shape says so."""
    if tensor.is_number:
        described.reshape.SetInParent()


def _warmup(sample: Sample, kinds: dict[str, str]) -> triton.ModelWarmup:
    warmup = triton.ModelWarmup(name=sample.name, batch_size=sample.rows)
    for name, dims in sample.zeros.items():
        tried = warmup.inputs[name]
        tried.data_type, tried.zero_data = _kind(kinds[name]), True
        tried.dims.extend(dims)
    for name in sample.numbers:
        tried = warmup.inputs[name]
        tried.data_type, tried.input_data_file = _kind(kinds[name]), data_file(sample, name)
        tried.dims.append(1)
    return warmup


def _kind(name: str) -> int:
    return int(triton.DataType.Value(name))
