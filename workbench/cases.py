"""Which batches are compared: the ends of a recipe's profile, and sizes between them that are not round."""

from collections.abc import Iterable

from asr_service.engines.ort import profiles
from workbench.recipe import Case, Profile

# Three rows stand for a batch where more of them would only take longer.
_FEW = 3
_BETWEEN = 0.37
# Lengths that span less are taken apart at tenths.
_COARSE = 16


def parse(text: str) -> Case:
    """Reads ROWSxLENGTH, as 8x2.5. Raises ValueError."""
    rows, separator, length = text.partition("x")
    try:
        case = Case(int(rows), float(length))
    except ValueError as error:
        raise ValueError(f"{text!r} is not like 8x2.5, rows and length") from error
    if not separator or case.rows < 1 or case.length <= 0:
        raise ValueError(f"{text!r} is not like 8x2.5, rows and length")
    return case


def notation(case: Case) -> str:
    """What `parse` reads."""
    return f"{case.rows}x{case.length:g}"


def traced(profile: Profile) -> Case:
    """Two rows where there can be two: an axis of size 1 might be taken for one that is always so."""
    return Case(_clipped(2, profile.rows), profile.length.opt)


def small(profile: Profile) -> list[Case]:
    """Every length, in batches that a CPU has soon computed."""
    rows, length = profile.rows, profile.length
    few = _clipped(_FEW, rows)
    return _distinct(
        [
            Case(rows.min, length.min),
            traced(profile),
            Case(few, _between(length)),
            Case(rows.min, length.max),
        ]
    )


def all_ends(profile: Profile) -> list[Case]:
    """Those, and the largest and the usual batches, in order of size."""
    rows, length = profile.rows, profile.length
    large = [Case(rows.max, length.min), Case(rows.opt, length.opt), Case(rows.max, length.max)]
    return sorted(_distinct([*small(profile), *large]), key=lambda case: case.rows * case.length)


def admits(profile: Profile, case: Case) -> bool:
    rows, length = profile.rows, profile.length
    return rows.min <= case.rows <= rows.max and length.min <= case.length <= length.max


def _clipped(rows: int, allowed: profiles.Range[int]) -> int:
    return min(max(rows, allowed.min), allowed.max)


def _between(length: profiles.Range[float]) -> float:
    span = length.max - length.min
    return length.min + round(span * _BETWEEN, 0 if span >= _COARSE else 1)


def _distinct(cases: Iterable[Case]) -> list[Case]:
    return list(dict.fromkeys(cases))
