"""What a network's time goes to, layer by layer, as a trace of ONNX Runtime has it, and as JSON."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_NODE_ENDING = "_kernel_time"
_RUN = "model_run"


@dataclass(frozen=True)
class Layer:
    name: str
    operator: str
    """Of ONNX, or the class of a PyTorch module; empty for kernels."""
    where: str
    """The provider, or the device."""
    calls: float
    """A run."""
    microseconds: float
    """A run, without what the layer calls: that is counted where it is."""


def as_json(layers: Iterable[Layer]) -> list[dict[str, Any]]:
    """The slowest first, each with its share of all."""
    slowest = sorted(layers, key=lambda layer: (-layer.microseconds, layer.name))
    total = sum(layer.microseconds for layer in slowest) or 1.0
    return [
        {
            **asdict(layer),
            "microseconds": round(layer.microseconds, 2),
            "share": round(layer.microseconds / total, 5),
        }
        for layer in slowest
    ]


def of_trace(trace: Path, runs: int) -> list[Layer]:
    """The nodes of a trace that ONNX Runtime wrote, in its last `runs` runs."""
    events = json.loads(trace.read_text("utf-8"))
    begun = sorted(event["ts"] for event in events if event.get("name") == _RUN)[-runs]
    calls: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    told: dict[str, Mapping[str, str]] = {}
    for event in events:
        if _is_node(event) and event["ts"] >= begun:
            name = event["name"].removesuffix(_NODE_ENDING)
            calls[name] += 1
            taken[name] += event["dur"]
            told[name] = event["args"]
    return [
        Layer(name, said["op_name"], said["provider"], calls[name] / runs, taken[name] / runs)
        for name, said in told.items()
    ]


def own_times(taken: Mapping[str, float]) -> dict[str, float]:
    """Of modules by their dotted names, "" being the whole: what each took, less what those below it did."""
    return {
        name: max(0.0, total - sum(taken[child] for child in _nearest_below(name, taken)))
        for name, total in taken.items()
    }


def _nearest_below(name: str, names: Collection[str]) -> Iterator[str]:
    """Containers that are never called themselves are not among the names: then it is what they contain."""
    begins = f"{name}." if name else ""
    below = [other for other in names if other != name and other.startswith(begins)]
    return (other for other in below if not any(other.startswith(f"{between}.") for between in below))


def _is_node(event: Mapping[str, Any]) -> bool:
    return event.get("cat") == "Node" and event.get("name", "").endswith(_NODE_ENDING)
