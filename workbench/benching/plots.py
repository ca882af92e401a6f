"""Plots as SVG, the same bytes for the same rows: throughput over rows, and latency over length."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from workbench.benching.row import Row
from workbench.benching.series import Comparison, Series

Axis = Literal["rows", "length"]
_NAMES = {"rows": "rows in the batch", "length": "length, {unit}"}
# Okabe and Ito's, which people of all kinds of sight tell apart, without their yellow, too faint for lines on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = "osD^vPX"
# No more panels than can be read side by side.
_MOST_PANELS = 4
_STYLE: dict[Any, Any] = {
    # Text stays text: it can be searched, and no font's outlines are in the file.
    "svg.fonttype": "none",
    # Else identifiers in the file are random.
    "svg.hashsalt": "duoscribe",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
}


def throughput(comparison: Comparison, path: Path) -> None:
    """Seconds of audio a second over rows, a panel a length. Writes an SVG file."""
    _plot(comparison, path, "rows", "throughput", "seconds of audio a second", "audio_s_per_s")


def latency(comparison: Comparison, path: Path) -> None:
    """Median over length, a panel a number of rows, shaded up to the 99th percentile. Writes an SVG file.

    Where there is but one length, it is over rows.
    """
    along: Axis = "length" if len({case.length for case in comparison.cases}) > 1 else "rows"
    _plot(
        comparison,
        path,
        along,
        "latency, median to 99th percentile",
        "milliseconds a batch",
        "p50_ms",
        "p99_ms",
    )


def _plot(
    comparison: Comparison, path: Path, along: Axis, title: str, unit: str, column: str, upper: str = ""
) -> None:
    across: Axis = "length" if along == "rows" else "rows"
    values = _spread({getattr(case, across) for case in comparison.cases})
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(2.0 + 2.6 * len(values), 3.6), layout="constrained")
        figure.suptitle(f"{comparison.title}: {title}")
        for number, value in enumerate(values, start=1):
            panel = figure.add_subplot(1, len(values), number)
            for series in comparison.series:
                rows = [row for row in _measured(series, along) if getattr(row, across) == value]
                _line(panel, comparison, series, rows, [along, column, upper])
            panel.set(
                title=_named(across, value, comparison.unit),
                xlabel=_NAMES[along].format(unit=comparison.unit),
            )
            _ticks(panel, {getattr(case, along) for case in comparison.cases}, along)
        figure.axes[0].set_ylabel(unit)
        _save(figure, path)


def _measured(series: Series, along: Axis) -> list[Row]:
    return sorted(series.measured.values(), key=attrgetter(along))


def _named(axis: Axis, value: float, unit: str) -> str:
    if axis == "length":
        return f"{value:g} {unit}"
    return f"{value:g} row{'s' if value > 1 else ''}"


def _line(
    panel: Axes, comparison: Comparison, series: Series, rows: Sequence[Row], columns: Sequence[str]
) -> None:
    """In the same colour in all panels."""
    number = comparison.series.index(series)
    colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
    x, y, *upper = ([getattr(row, column) for row in rows] for column in columns if column)
    panel.plot(x, y, color=colour, marker=marker, markersize=4, linewidth=1.3, label=series.label)
    for top in upper:
        panel.fill_between(x, y, top, color=colour, alpha=0.15, linewidth=0)


def _ticks(panel: Axes, values: Iterable[float], along: Axis) -> None:
    if along == "rows":
        panel.set_xscale("log", base=2)
    rising = sorted(values)
    panel.set_xticks(rising, [f"{value:g}" for value in rising])
    # A CPU's line and a GPU's are both to be seen; equal ratios are equal distances.
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    panel.minorticks_off()


def _spread(values: Iterable[float]) -> Sequence[float]:
    """All, or the least, the largest and some between."""
    rising = sorted(values)
    last = len(rising) - 1
    if last < _MOST_PANELS:
        return rising
    return [rising[round(number * last / (_MOST_PANELS - 1))] for number in range(_MOST_PANELS)]


def _save(figure: Figure, path: Path) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
    # Neither when nor by which version: those change though nothing that is drawn does.
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
