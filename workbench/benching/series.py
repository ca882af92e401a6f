"""Rows of any number of CSV files, put together: for each recipe the runtimes, for each runtime its batches."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from workbench.benching.row import Row, Setting
from workbench.recipe import Case


@dataclass(frozen=True)
class Series:
    """A recipe on one runtime."""

    label: str
    """The runtime, and as much of what it ran on as tells it from the recipe's other series."""
    setting: Setting
    rows: Mapping[Case, Row]

    @property
    def measured(self) -> dict[Case, Row]:
        return {case: row for case, row in self.rows.items() if row.is_measured}


@dataclass(frozen=True)
class Comparison:
    """A recipe on all runtimes."""

    recipe: str
    size: str
    unit: str
    series: Sequence[Series]

    @property
    def title(self) -> str:
        return self.recipe if self.size == "full" else f"{self.recipe}, {self.size}"

    @property
    def cases(self) -> list[Case]:
        """Of all series, by length, then by rows."""
        cases = {case for each in self.series for case in each.rows}
        return sorted(cases, key=lambda case: (case.length, case.rows))

    def base(self, runtimes: Sequence[str]) -> Series:
        """What the others are compared with: the first of these runtimes that is there, or else the first series."""
        found = (each for name in runtimes for each in self.series if each.setting.runtime == name)
        return next(found, self.series[0])


def compare(rows: Iterable[Row]) -> list[Comparison]:
    """In the order of the rows. Where a batch was measured twice in the same circumstances, the later row holds."""
    recipes: dict[tuple[str, str, str], dict[Setting, dict[Case, Row]]] = {}
    for row in rows:
        by_setting = recipes.setdefault((row.recipe, row.size, row.unit), {})
        by_setting.setdefault(row.setting, {})[row.case] = row
    return [Comparison(*key, _series(by_setting)) for key, by_setting in recipes.items()]


def _series(by_setting: Mapping[Setting, Mapping[Case, Row]]) -> list[Series]:
    settings = list(by_setting)
    labels = next((found for each in _LABELS if _tell_apart(found := list(map(each, settings)))), None)
    if labels is None:
        labels = [f"{setting.runtime} ({number})" for number, setting in enumerate(settings, start=1)]
    return [
        Series(label, setting, by_setting[setting]) for label, setting in zip(labels, settings, strict=True)
    ]


# From the shortest to what says most.
_LABELS: Sequence[Callable[[Setting], str]] = (
    lambda setting: setting.runtime,
    lambda setting: f"{setting.runtime} on {setting.processor}",
    lambda setting: f"{setting.runtime} on {setting.processor}, {versions(setting)}",
)


def _tell_apart(labels: Sequence[str]) -> bool:
    return len({*labels}) == len(labels)


def versions(setting: Setting) -> str:
    """What the runtime is made of, as far as it is known."""
    named = {
        "driver": setting.driver,
        "PyTorch": setting.torch,
        "ONNX Runtime": setting.onnxruntime,
        "TensorRT": setting.tensorrt,
        "Python": setting.python,
    }
    return ", ".join(f"{name} {version}" for name, version in named.items() if version)
