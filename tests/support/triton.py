"""What Triton does with a model repository, as far as its files say it: ensembles, batches, and its Python backend's helpers.

Knows nothing of the code that writes repositories, and reads configurations by Triton's own schema.
"""

import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2 as schema

Tensors = Mapping[str, np.ndarray[Any, Any]]

_KINDS = {
    "TYPE_FP32": np.dtype(np.float32),
    "TYPE_INT64": np.dtype(np.int64),
    "TYPE_STRING": np.dtype(object),
}


class TritonError(Exception):
    """As the ensemble's caller gets it."""

    INVALID_ARG = 3

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.message, self.code = message, code


@dataclass
class Tensor:
    """triton_python_backend_utils.Tensor"""

    named: str
    values: np.ndarray[Any, Any]

    def name(self) -> str:
        return self.named

    def as_numpy(self) -> np.ndarray[Any, Any]:
        return self.values


@dataclass
class InferenceResponse:
    """triton_python_backend_utils.InferenceResponse"""

    output_tensors: Sequence[Tensor] = ()
    error: TritonError | None = None


def get_input_tensor_by_name(request: Sequence[Tensor], name: str) -> Tensor | None:
    return next((tensor for tensor in request if tensor.name() == name), None)


@contextmanager
def backend_utils() -> Iterator[None]:
    """The module that models of Triton's Python backend import."""
    module = ModuleType("triton_python_backend_utils")
    for helper in (Tensor, InferenceResponse, TritonError, get_input_tensor_by_name):
        setattr(module, helper.__name__, helper)
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        del sys.modules[module.__name__]


@dataclass
class Model:
    folder: Path
    batches: list[int] = field(default_factory=list)
    """Rows of each batch that was computed."""

    @cached_property
    def config(self) -> schema.ModelConfig:
        text = (self.folder / "config.pbtxt").read_text()
        config = text_format.Parse(text, schema.ModelConfig())
        assert config.name == self.folder.name
        return config

    def run(self, requests: Sequence[Tensors]) -> list[Tensors]:
        """Those of equal shapes together where the configuration lets them be, no more than it allows."""
        if not self.config.HasField("dynamic_batching"):
            return [self._run([request])[0] for request in requests]
        answers: dict[int, Tensors] = {}
        left = list(enumerate(requests))
        while left:
            batch = self._batch(left)
            left = [each for each in left if each not in batch]
            answers |= zip((number for number, _ in batch), self._run([r for _, r in batch]), strict=True)
        return [answers[number] for number in range(len(requests))]

    def _batch(self, waiting: Sequence[tuple[int, Tensors]]) -> list[tuple[int, Tensors]]:
        def shapes(request: Tensors) -> dict[str, tuple[int, ...]]:
            return {name: values.shape[1:] for name, values in request.items()}

        batch: list[tuple[int, Tensors]] = []
        for number, request in waiting:
            rows = sum(_rows(each) for _, each in batch) + _rows(request)
            if shapes(request) == shapes(waiting[0][1]) and rows <= self.config.max_batch_size:
                batch.append((number, request))
        return batch

    def _run(self, requests: Sequence[Tensors]) -> list[Tensors]:
        given = {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}
        self._check(given, self.config.input)
        self.batches.append(_rows(given))
        assert _rows(given) <= self.config.max_batch_size
        found = self._python(given) if self.config.backend == "python" else self._graph(given)
        self._check(found, self.config.output)
        ends = np.cumsum([_rows(request) for request in requests])[:-1]
        parts = {name: np.split(values, ends) for name, values in found.items()}
        return [{name: parts[name][place] for name in parts} for place in range(len(requests))]

    def _check(self, tensors: Tensors, described: Sequence[Any]) -> None:
        for one in described:
            if one.name not in tensors:
                assert getattr(one, "optional", False), f"{self.config.name} misses {one.name}"
                continue
            values = tensors[one.name]
            assert values.dtype == _KINDS[schema.DataType.Name(one.data_type)], one.name
            assert len(values.shape) == 1 + len(one.dims), (one.name, values.shape)
            pairs = zip(one.dims, values.shape[1:], strict=True)
            assert all(size in {-1, real} for size, real in pairs), (one.name, values.shape)
        assert tensors.keys() <= {one.name for one in described}

    def _graph(self, given: Tensors) -> Tensors:
        fed = {one.name: _reshaped(given[one.name], one) for one in self.config.input}
        wanted = [one.name for one in self.config.output]
        found = dict(zip(wanted, self._session.run(wanted, fed), strict=True))
        rows = _rows(given)
        return {one.name: _whole(found[one.name], one, rows) for one in self.config.output}

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(
            self.folder / "1" / "model.onnx", providers=["CPUExecutionProvider"]
        )

    def _python(self, given: Tensors) -> Tensors:
        (response,) = self._program.execute([[Tensor(*pair) for pair in given.items()]])
        if response.error:
            raise response.error
        return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors}

    @cached_property
    def _program(self) -> Any:
        spec = importlib.util.spec_from_file_location(self.folder.name, self.folder / "1" / "model.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        with backend_utils():
            spec.loader.exec_module(module)
        program = module.TritonPythonModel()
        config = json_format.MessageToDict(self.config, preserving_proto_field_name=True)
        program.initialize(
            {
                "model_repository": str(self.folder),
                "model_version": "1",
                "model_config": json.dumps({"parameters": {}, **config}),
            }
        )
        return program

    def warm_up(self) -> None:
        """As the configuration says, before any request."""
        for sample in self.config.model_warmup:
            row = {name: self._tried(described) for name, described in sample.inputs.items()}
            self._run([row] * sample.batch_size)

    def _tried(self, described: Any) -> np.ndarray[Any, Any]:
        dtype, shape = _KINDS[schema.DataType.Name(described.data_type)], (1, *described.dims)
        if described.WhichOneof("input_data_type") == "zero_data":
            return np.zeros(shape, dtype)
        data = (self.folder / "warmup" / described.input_data_file).read_bytes()
        return np.frombuffer(data, dtype).reshape(shape)


class Repository:
    def __init__(self, folder: Path) -> None:
        self.models = {path.name: Model(path) for path in sorted(folder.iterdir())}

    def infer(self, name: str, requests: Sequence[Tensors]) -> list[Tensors]:
        """Of requests that wait at the same time. Raises TritonError for the first that is refused."""
        ensemble = self.models[name]
        known = [dict(request) for request in requests]
        for request in known:
            ensemble._check(request, ensemble.config.input)
        for step in ensemble.config.ensemble_scheduling.step:
            model = self.models[step.model_name]
            taken = [
                {own: values[ours] for own, ours in step.input_map.items() if ours in values}
                for values in known
            ]
            for values, found in zip(known, model.run(taken), strict=True):
                values |= {ours: found[own] for own, ours in step.output_map.items()}
        wanted = [one.name for one in ensemble.config.output]
        return [{name: values[name] for name in wanted} for values in known]


def _rows(tensors: Tensors) -> int:
    return len(next(iter(tensors.values())))


def _reshaped(values: np.ndarray[Any, Any], described: Any) -> np.ndarray[Any, Any]:
    if not described.HasField("reshape"):
        return values
    return values.reshape(len(values), *described.reshape.shape)


def _whole(values: np.ndarray[Any, Any], described: Any, rows: int) -> np.ndarray[Any, Any]:
    return values.reshape(rows, *described.dims) if described.HasField("reshape") else values
