"""Rows of any number of CSV files, put together: for each recipe the runtimes, for each runtime its batches."""

from collections.abc import Iterable, Mapping, Sequence
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
    return [Series(_label(setting, list(by_setting)), setting, rows) for setting, rows in by_setting.items()]


def _label(setting: Setting, all_: Sequence[Setting]) -> str:
    mine = _details(setting)
    others = [_details(each) for each in all_ if each.runtime == setting.runtime and each != setting]
    telling = [text for name, text in mine.items() if any(other[name] != text for other in others)]
    return f"{setting.runtime} ({', '.join(telling)})" if telling else setting.runtime


def circumstances(setting: Setting) -> str:
    """What a runtime ran on and was made of, as far as it is known."""
    return ", ".join(filter(None, _details(setting).values()))


def _details(setting: Setting) -> dict[str, str]:
    """What tells two settings of one runtime apart, in words; empty where it does not apply."""
    versions = {
        "driver": setting.driver,
        "PyTorch": setting.torch,
        "ONNX Runtime": setting.onnxruntime,
        "TensorRT": setting.tensorrt,
        "Python": setting.python,
    }
    named = {name: version and f"{name} {version}" for name, version in versions.items()}
    return {"processor": setting.processor, **named}
