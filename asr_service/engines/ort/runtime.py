"""ONNX Runtime sessions: the provider that was asked for or none, tensors that stay where they were computed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime import OrtValue, RunOptions

from asr_service.engines.base import Stop, Stopped
from asr_service.engines.ort.failures import MISSING_LIBRARY, is_out_of_memory, is_terminated, load_failure
from serving.errors import DuoscribeError, ModelUnavailable, Unavailable

Array = npt.NDArray[Any]

_ERRORS_ONLY = 3


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
    without: Sequence[str] = ()
    """ONNX Runtime's graph optimisations that are left out, by name."""

    @property
    def provider(self) -> str:
        return self.providers[0][0]


@dataclass(frozen=True)
class Rows:
    """Some rows of a float32 tensor, which must live as long."""

    tensor: OrtValue
    first: int
    count: int

    @property
    def shape(self) -> list[int]:
        return [self.count, *self.tensor.shape()[1:]]

    @property
    def address(self) -> int:
        row_bytes = np.dtype(np.float32).itemsize * int(np.prod(self.tensor.shape()[1:]))
        address: int = self.tensor.data_ptr() + self.first * row_bytes
        return address


class _StrictSession(onnxruntime.InferenceSession):  # type: ignore[misc]  # it has no types
    """Without the base class's habit of printing an error and going on with another provider, at creation and in runs.

    Newer versions take an argument for it; in all of them this attribute decides.
    """

    @property
    def _enable_fallback(self) -> bool:
        return False

    @_enable_fallback.setter
    def _enable_fallback(self, _wanted: bool) -> None: ...


class Session:
    """A loaded graph. Safe to run from several threads at once."""

    def __init__(self, model: Path | bytes, placement: Placement, *, trace: Path | None = None) -> None:
        """`trace` begins the name of a profile that `finish_trace` ends.

        Raises ModelUnavailable where the graph cannot be loaded, or another provider than the wanted one took it.
        """
        _require_offered(placement)
        with _loading(model, placement):
            self._session = _StrictSession(
                str(model) if isinstance(model, Path) else model,
                _session_options(placement, trace),
                providers=[(name, dict(values)) for name, values in placement.providers],
                disabled_optimizers=list(placement.without) or None,
            )
        _require_provider(placement, self._session.get_providers())
        self.placement = placement
        self.inputs = {tensor.name: tensor for tensor in self._session.get_inputs()}
        self.outputs = {tensor.name: tensor for tensor in self._session.get_outputs()}
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

    def run(
        self,
        inputs: Mapping[str, Array | OrtValue],
        *,
        keep: Collection[str] = (),
        into: Mapping[str, "Rows"] | None = None,
        options: RunOptions | None = None,
    ) -> dict[str, OrtValue]:
        """All outputs by name. Those in `keep` stay on the session's device, the others come to the host.

        Those in `into` are written there, float32 on the session's device, and must be as large as the rows are.

        Raises Unavailable where the device's memory does not suffice, Stopped where `options` told it to terminate.
        """
        binding = self._session.io_binding()
        # Kept until the run has ended: ONNX Runtime reads arrays where they lie, and not all versions hold on to them.
        held = {
            name: np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value
            for name, value in inputs.items()
        }
        for name, value in held.items():
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, value)
            else:
                binding.bind_ortvalue_input(name, value)
        device, device_id = self.placement.device, self.placement.device_id
        for name in self.outputs:
            if into and name in into:
                rows = into[name]
                binding.bind_output(name, device, device_id, np.float32, rows.shape, rows.address)
            elif name in keep:
                binding.bind_output(name, device, device_id)
            else:
                binding.bind_output(name, "cpu")
        with _running():
            self._session.run_with_iobinding(binding, options)
        return dict(zip(self.outputs, binding.get_outputs(), strict=True))

    def empty(self, shape: Sequence[int]) -> OrtValue:
        """A float32 tensor on the session's device, its values not set. Raises Unavailable where memory does not suffice."""
        with _running():
            return OrtValue.ortvalue_from_shape_and_type(
                list(shape), np.float32, self.placement.device, self.placement.device_id
            )

    def finish_trace(self) -> Path:
        """The file that says what ran where since the session was made with `trace`."""
        return Path(self._session.end_profiling())


@contextmanager
def stoppable(stop: Stop) -> Iterator[RunOptions]:
    """Options for runs that end soon after `stop` is set, between two nodes of the graph; they then raise Stopped."""
    stop.check()
    options = RunOptions()

    def terminate() -> None:
        options.terminate = True

    stop.on_set(terminate)
    yield options


def _session_options(placement: Placement, trace: Path | None) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = placement.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.use_deterministic_compute = True
    for key, value in placement.config.items():
        options.add_session_config_entry(key, value)
    if trace is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(trace)
    return options


def _require_offered(placement: Placement) -> None:
    if placement.provider not in onnxruntime.get_available_providers():
        raise ModelUnavailable(
            f"the installed ONNX Runtime {onnxruntime.__version__} has no {placement.provider}: install the extra gpu-cu12 or "
            "gpu-cu13 in place of cpu, or choose --provider cpu"
        )


def _require_provider(placement: Placement, got: Sequence[str]) -> None:
    """ONNX Runtime goes on with the next provider where one's library cannot be loaded, and only its log says so."""
    if got[0] != placement.provider:
        raise ModelUnavailable(
            f"ONNX Runtime runs the model on {got[0]} instead of {placement.provider}: {MISSING_LIBRARY}"
        )


@contextmanager
def _loading(model: Path | bytes, placement: Placement) -> Iterator[None]:
    """Whatever a native library says while a session is made becomes ModelUnavailable, with who must act."""
    name = model.name if isinstance(model, Path) else "a graph made at load"
    try:
        yield
    except DuoscribeError:
        raise
    except Exception as error:
        raise ModelUnavailable(
            load_failure(name, placement.provider, placement.device_id, str(error))
        ) from error


@contextmanager
def _running() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_terminated(str(error)):
            raise Stopped from error
        if is_out_of_memory(str(error)):
            raise Unavailable(
                "the recognition service has too little memory for this batch; its operator must free some, or lower "
                "its batches with --profile"
            ) from error
        raise
