"""Plots as SVG, the same bytes for the same rows: throughput over rows, and latency over length."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.benching.row import Row
from workbench.benching.series import Comparison, Series

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
    lengths = _spread({case.length for case in comparison.cases})
    with mpl.rc_context(_STYLE):
        figure, panels = _figure(comparison, "throughput", len(lengths))
        for panel, length in zip(panels, lengths, strict=True):
            for series in comparison.series:
                rows = [row for row in _measured(series) if row.length == length]
                _line(
                    panel, comparison, series, [row.rows for row in rows], [row.audio_s_per_s for row in rows]
                )
            panel.set(title=f"{length:g} {comparison.unit}", xlabel="rows in the batch", xscale="log")
            _ticks(panel, {case.rows for case in comparison.cases})
        panels[0].set_ylabel("seconds of audio a second")
        _save(figure, panels, path)


def latency(comparison: Comparison, path: Path) -> None:
    """Median over length, a panel a number of rows, shaded up to the 99th percentile. Writes an SVG file."""
    counts = _spread({case.rows for case in comparison.cases})
    with mpl.rc_context(_STYLE):
        figure, panels = _figure(comparison, "latency, median to 99th percentile", len(counts))
        for panel, count in zip(panels, counts, strict=True):
            for series in comparison.series:
                rows = [row for row in _measured(series) if row.rows == count]
                _line(
                    panel,
                    comparison,
                    series,
                    [row.length for row in rows],
                    [row.p50_ms for row in rows],
                    [row.p99_ms for row in rows],
                )
            panel.set(title=f"{count:g} rows", xlabel=f"length, {comparison.unit}")
            _ticks(panel, {case.length for case in comparison.cases})
        panels[0].set_ylabel("milliseconds a batch")
        _save(figure, panels, path)


def _measured(series: Series) -> list[Row]:
    return sorted(series.measured.values(), key=lambda row: (row.rows, row.length))


def _figure(comparison: Comparison, what: str, panels: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(2.0 + 2.6 * panels, 3.6), layout="constrained")
    figure.suptitle(f"{comparison.title}: {what}")
    return figure, [figure.add_subplot(1, panels, number + 1) for number in range(panels)]


def _line(
    panel: Axes,
    comparison: Comparison,
    series: Series,
    x: Sequence[float],
    y: Sequence[Any],
    upper: Sequence[Any] | None = None,
) -> None:
    """In the same colour in all panels."""
    number = comparison.series.index(series)
    colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
    panel.plot(x, y, color=colour, marker=marker, markersize=4, linewidth=1.3, label=series.label)
    if upper is not None:
        panel.fill_between(x, y, upper, color=colour, alpha=0.15, linewidth=0)


def _ticks(panel: Axes, values: Iterable[float]) -> None:
    rising = sorted(values)
    panel.minorticks_off()
    panel.set_xticks(rising, [f"{value:g}" for value in rising])
    panel.set_ylim(bottom=0)


def _spread(values: Iterable[float]) -> Sequence[float]:
    """All, or the least, the largest and some between."""
    rising = sorted(values)
    last = len(rising) - 1
    if last < _MOST_PANELS:
        return rising
    return [rising[round(number * last / (_MOST_PANELS - 1))] for number in range(_MOST_PANELS)]


def _save(figure: Figure, panels: Sequence[Axes], path: Path) -> None:
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
    # Neither when nor by which version: those change though nothing that is drawn does.
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
