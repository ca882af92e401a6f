"""ONNX Runtime sessions: the provider that was asked for or none, tensors that stay where they were computed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime import OrtValue

from serving.errors import ModelUnavailable

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Placement:
    """Where a session runs."""

    providers: Sequence[tuple[str, Mapping[str, str]]] = (("CPUExecutionProvider", {}),)
    """Names and options in ONNX Runtime's own terms; the first is the one that is wanted."""
    device: str = "cpu"
    """Where its tensors lie: "cpu" or "cuda"."""
    device_id: int = 0
    threads: int = 1
    config: Mapping[str, str] = field(default_factory=dict)
    """Session configuration entries."""


class Session:
    """A loaded graph. Safe to run from several threads at once."""

    def __init__(self, model: Path | bytes, placement: Placement) -> None:
        """Raises ModelUnavailable where the graph cannot be loaded, or another provider than the wanted one took it."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = placement.threads
        options.log_severity_level = 3
        for key, value in placement.config.items():
            options.add_session_config_entry(key, value)
        source = str(model) if isinstance(model, Path) else model
        self._session = onnxruntime.InferenceSession(
            source, options, providers=[(name, dict(values)) for name, values in placement.providers]
        )
        wanted, got = placement.providers[0][0], self._session.get_providers()[0]
        if got != wanted:
            raise ModelUnavailable(f"ONNX Runtime runs the model on {got} instead of {wanted}")
        self._device, self._device_id = placement.device, placement.device_id
        self.inputs = {tensor.name: tensor for tensor in self._session.get_inputs()}
        self.outputs = {tensor.name: tensor for tensor in self._session.get_outputs()}
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

    def run(
        self,
        inputs: Mapping[str, Array | OrtValue],
        *,
        keep: Collection[str] = (),
        options: onnxruntime.RunOptions | None = None,
    ) -> dict[str, OrtValue]:
        """All outputs by name. Those in `keep` stay on the session's device, the others come to the host."""
        binding = self._session.io_binding()
        for name, value in inputs.items():
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, np.ascontiguousarray(value))
            else:
                binding.bind_ortvalue_input(name, value)
        for name in self.outputs:
            if name in keep:
                binding.bind_output(name, self._device, self._device_id)
            else:
                binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding, options)
        return dict(zip(self.outputs, binding.get_outputs(), strict=True))
