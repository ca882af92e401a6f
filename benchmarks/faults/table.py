"""The tallies of all rounds, in Markdown."""

from collections.abc import Sequence

from benchmarks.faults.rounds import Tally
from benchmarks.faults.verdicts import Kind

_HEADER = (
    "fault",
    "times",
    "sent",
    "complete",
    "of them replayed",
    *(kind.value for kind in tuple(Kind)[1:]),
)


def table(tallies: Sequence[Tally]) -> str:
    rows = [_row(tally) for tally in tallies]
    return "\n".join([_line(_HEADER), _line(["---"] * len(_HEADER)), *map(_line, [*rows, _total(tallies)])])


def _row(tally: Tally) -> list[str]:
    return [tally.fault, *map(str, _figures(tally)[:-4]), _failed(tally), *map(str, _figures(tally)[-3:])]


def _figures(tally: Tally) -> list[int]:
    complete, *others = (tally.kinds[kind] for kind in Kind)
    return [tally.strikes, tally.kinds.total(), complete, tally.replayed, *others]


def _failed(tally: Tally) -> str:
    codes = ", ".join(f"{count} {code}" for code, count in sorted(tally.details.items()) if code.isupper())
    return codes or "0"


def _total(tallies: Sequence[Tally]) -> list[str]:
    sums = map(sum, zip(*map(_figures, tallies), strict=True))
    return ["all", *map(str, sums)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
