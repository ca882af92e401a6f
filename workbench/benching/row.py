"""What was measured: a row for each batch on each runtime, kept as CSV. Its columns are the fields below, by their names."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TextIO, get_type_hints

from serving.errors import ModelUnavailable
from workbench.recipe import Case

MEASURED = "measured"
OUT_OF_MEMORY = "out of memory"
OUTSIDE = "outside the profile"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is the same for all batches of one runtime on one machine."""

    recipe: str
    size: str
    """full or tiny."""
    backend: str
    """pytorch, cpu, cuda or tensorrt."""
    precision: str
    unit: str
    """Of lengths."""
    processor: str
    """The GPU by name, or which kind of CPU and how many threads of it."""
    driver: str = ""
    """The GPU's."""
    python: str = ""
    torch: str = ""
    onnxruntime: str = ""
    tensorrt: str = ""

    @property
    def runtime(self) -> str:
        return f"{self.backend}-{self.precision}"


@dataclass(frozen=True, kw_only=True)
class Row(Setting):
    """Times are of whole batches, inputs and outputs on the device, until all outputs are computed."""

    rows: int
    """In the batch. Each counts as a request."""
    length: float
    """Of each, in `unit`."""
    audio_seconds: float
    """In one row."""
    outcome: str
    """measured; or why there are no times: "out of memory", "outside the profile", what the runtime said."""
    runs: int = 0
    """That were timed, after some that were not."""
    first_ms: float | None = None
    """Of the very first run of this shape, in which a runtime may still choose kernels or grow its memory."""
    mean_ms: float | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    requests_per_s: float | None = None
    audio_s_per_s: float | None = None
    memory_mib: float | None = None
    """That the runtime holds since its start, weights included: of the GPU, or of the process on CPUs. The most until
    this batch, since runtimes keep what they once had."""
    date: str = ""
    """When, in UTC, as ISO 8601 has days."""

    @property
    def setting(self) -> Setting:
        return Setting(**{field.name: getattr(self, field.name) for field in fields(Setting)})

    @property
    def case(self) -> Case:
        return Case(self.rows, self.length)

    @property
    def is_measured(self) -> bool:
        return self.outcome == MEASURED


COLUMNS = tuple(field.name for field in fields(Row))


class Log:
    """A CSV file that a row is added to as soon as it is measured."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self) -> list[Row]:
        """Those that are there. Raises ModelUnavailable where the file holds something else."""
        return read(self._path) if self._path.exists() else []

    def add(self, row: Row) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", newline="", encoding="utf-8") as file:
            _write(file, [row], heading=file.tell() == 0)


def read(path: Path) -> list[Row]:
    """Raises ModelUnavailable."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(_rows(file))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelUnavailable(f"{path} is no CSV file of `duoscribe engines bench` ({error})") from error


def _write(file: TextIO, rows: Iterable[Row], *, heading: bool) -> None:
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    if heading:
        writer.writeheader()
    for row in rows:
        writer.writerow({name: _text(value) for name, value in asdict(row).items()})


def _rows(file: TextIO) -> Iterator[Row]:
    readers = {name: _reader(kind) for name, kind in get_type_hints(Row).items()}
    for line in csv.DictReader(file):
        yield Row(**{name: readers[name](text) for name, text in line.items()})


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _reader(kind: Any) -> Any:
    if kind in {str, int, float}:
        return kind
    return lambda text: float(text) if text else None
