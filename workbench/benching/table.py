"""What was measured, as tables in Markdown."""

from collections.abc import Iterator, Sequence

from workbench.benching.row import Row
from workbench.benching.series import Comparison, Series, circumstances
from workbench.recipe import Case

_PERCENTILES = ("first", "mean", "p50", "p90", "p95", "p99")


def summary(comparison: Comparison, base: Series) -> str:
    """Throughput of every runtime side by side, and how many times the base's each is."""
    others = [each for each in comparison.series if each is not base]
    headings = [
        f"length, {comparison.unit}",
        "rows",
        *(f"{each.label}, requests/s" for each in comparison.series),
        *(f"{each.label} / {base.label}" for each in others),
    ]
    body = [
        [
            *_named(case),
            *(_throughput(each.rows.get(case)) for each in comparison.series),
            *(_ratio(each.measured.get(case), base.measured.get(case)) for each in others),
        ]
        for case in comparison.cases
    ]
    return _table(headings, body)


def percentiles(comparison: Comparison) -> str:
    """A row for each batch on each runtime, with times in milliseconds."""
    headings = [
        f"length, {comparison.unit}",
        "rows",
        "runtime",
        *(f"{name}, ms" for name in _PERCENTILES),
        "requests/s",
        "audio s/s",
        "memory, MiB",
    ]
    body = [
        [*_named(case), series.label, *_details(series.rows[case])]
        for case in comparison.cases
        for series in comparison.series
        if case in series.rows
    ]
    return _table(headings, body)


def legend(comparison: Comparison) -> str:
    """What each runtime ran on, as a list."""
    return "\n".join(
        f"- {series.label}: {circumstances(series.setting)}{_dates(series)}" for series in comparison.series
    )


def _dates(series: Series) -> str:
    days = sorted({row.date for row in series.rows.values() if row.date})
    return f"; {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else ""


def _named(case: Case) -> list[str]:
    return [f"{case.length:g}", str(case.rows)]


def _throughput(row: Row | None) -> str:
    if row is None:
        return ""
    return _number(row.requests_per_s) if row.is_measured else row.outcome


def _ratio(row: Row | None, base: Row | None) -> str:
    if row is None or base is None or not row.mean_ms or not base.mean_ms:
        return ""
    return f"{base.mean_ms / row.mean_ms:.2f}"


def _details(row: Row) -> Iterator[str]:
    if not row.is_measured:
        yield from (row.outcome, *[""] * (len(_PERCENTILES) + 2))
        return
    for name in _PERCENTILES:
        yield _number(getattr(row, f"{name}_ms"))
    yield from map(_number, (row.requests_per_s, row.audio_s_per_s, row.memory_mib))


def _number(value: float | None) -> str:
    """Three figures or all before the point, whichever is more."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _table(headings: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
