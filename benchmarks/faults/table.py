"""The tallies of all rounds, in Markdown."""

from collections.abc import Sequence

from benchmarks.faults.rounds import Tally
from benchmarks.faults.verdicts import Kind

_HEADER = (
    *("fault", "seconds", "replicas struck", "sent", "complete", "of them replayed"),
    *("partial, and said so", "failed with a status", "ended by the caller", "left behind"),
    *("never ended", "silently wrong"),
)


def table(tallies: Sequence[Tally]) -> str:
    rows = [_HEADER, ["---"] * len(_HEADER), *map(_row, tallies), _row(_sum(tallies))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(tally: Tally) -> list[str]:
    kinds = tally.kinds
    counts = (tally.strikes, kinds.total(), kinds[Kind.COMPLETE], tally.replayed, kinds[Kind.PARTIAL])
    bad = (kinds[Kind.ENDED], tally.left_behind, kinds[Kind.HUNG], kinds[Kind.WRONG])
    return [tally.fault, f"{tally.seconds:.0f}", *map(str, counts), _failed(tally), *map(str, bad)]


def _failed(tally: Tally) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(tally.codes.items())) or "0"


def _sum(tallies: Sequence[Tally]) -> Tally:
    total = Tally("all")
    for tally in tallies:
        total.seconds += tally.seconds
        total.strikes += tally.strikes
        total.replayed += tally.replayed
        total.left_behind += tally.left_behind
        total.kinds += tally.kinds
        total.codes += tally.codes
    return total
