"""A profile of the usual batch on one runtime, as a file.

What can be had differs. PyTorch's layers are timed where they run. ONNX Runtime's trace has each node: on CPUs what it took,
on CUDA only what launching its kernels took, and a TensorRT engine is one node. So on GPUs the kernels that ran are listed
too, with the device's own times.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.benching.layers import as_json, of_trace
from workbench.benching.opening import Opening
from workbench.recipe import Arrays
from workbench.runtimes import OrtRuntime

_WARM_UP, _RUNS = 2, 10


def profile(opening: Opening, folder: Path) -> Path:
    """Writes <recipe>-<size>-<runtime>.json. Raises ModelUnavailable, OutOfMemory."""
    setting, case = opening.setting(), opening.recipe.profile.corners[1]
    held: dict[str, Any] = {
        **asdict(setting),
        "rows": case.rows,
        "length": case.length,
        "runs": _RUNS,
        "measures": _measures(opening),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{setting.recipe}-{setting.size}-{setting.runtime}.json"
    for found in _seen(opening, opening.recipe.sample(case, 0)):
        held |= found
        path.write_text(json.dumps(held, indent=1) + "\n", "utf-8")
    return path


def _measures(opening: Opening) -> str:
    """What the times of layers are, for whoever reads the file alone."""
    if opening.gpu is None:
        return "microseconds of the host's clock in each layer"
    if opening.kind.backend == "pytorch":
        return "microseconds of the GPU in the kernels of each layer"
    return "microseconds of the host's clock in launching each layer; those of the GPU are the kernels'"


def _seen(opening: Opening, inputs: Arrays) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        runtime = opening.open(trace=Path(folder) / "trace")
        placed = runtime.place(inputs)
        if isinstance(runtime, OrtRuntime):
            for _ in range(_WARM_UP + _RUNS):
                runtime.run(placed)
            yield {"layers": as_json(of_trace(runtime.session.finish_trace(), _RUNS))}
    if opening.gpu is None and isinstance(runtime, OrtRuntime):
        return
    # PyTorch, which ONNX Runtime does without on CPUs. Beside a CUDA of another version it may end the process: what there is
    # is written by then.
    from workbench.benching.torch_layers import kernels, modules  # noqa: PLC0415
    from workbench.torch_runtime import TorchRuntime  # noqa: PLC0415

    if isinstance(runtime, TorchRuntime):
        yield {"layers": as_json(modules(runtime, placed, _RUNS))}
    if opening.gpu is not None:
        yield {"kernels": as_json(kernels(runtime, placed, _RUNS))}
