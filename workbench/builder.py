"""Builds a recipe's engine, in a process of its own, with neither PyTorch nor the recipe.

python -m workbench.builder FOLDER      as asr_service.engines.ort.builder; TRIAL in FOLDER holds what to try it with
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_service.engines.ort.builder import obey
from asr_service.engines.ort.network import Answer, Outputs
from asr_service.engines.ort.order import Order
from asr_service.engines.ort.profiles import Profile
from asr_service.engines.ort.runtime import Array, Placement
from workbench.difference import rows
from workbench.export import GRAPH

TRIAL = "trial.npz"


@dataclass(frozen=True)
class Exported:
    """An exported recipe, as engines are built from it."""

    encoder: Path
    inputs: Mapping[str, Array]

    def trial(self, _: Profile) -> Mapping[str, Array]:
        return self.inputs

    def answer(self, outputs: Outputs, _: Placement) -> Answer:
        """Whole numbers are tokens, of which rounding may flip a few."""
        arrays = {name: value.numpy() for name, value in outputs.items()}
        numbers = {name: array for name, array in arrays.items() if np.issubdtype(array.dtype, np.floating)}
        tokens = [row for name, array in arrays.items() if name not in numbers for row in rows(array)]
        return numbers, tokens


def ordered(order: Order, folder: Path) -> Exported:
    with np.load(folder / TRIAL) as trial:
        return Exported(Path(order.model) / GRAPH, dict(trial))


if __name__ == "__main__":
    obey(ordered)
