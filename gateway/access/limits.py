"""What callers may, as a TOML file says it:

    [default]                      # every caller that has no table of its own, each for itself
    streams = 4
    audio_minutes_per_hour = 600

    [callers."spiffe://example.org/billing"]
    streams = 16                   # all else as in [default]

    [callers.retired]
    allowed = false

What is not said is not limited; `inf` takes a limit of [default] away.
"""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one caller, at one gateway process."""

    allowed: bool = True
    streams: float = math.inf
    audio_minutes_per_minute: float = math.inf
    audio_minutes_per_hour: float = math.inf


@dataclass(frozen=True, slots=True)
class CallersFile:
    """What the file says; empty, it limits nobody."""

    default: Limits = Limits()
    callers: Mapping[str, Limits] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "CallersFile":
        """Raises ValueError, which names the table and the key at fault."""
        document = tomllib.loads(text)
        if unknown := document.keys() - {"default", "callers"}:
            raise ValueError(f"there is no table {min(unknown)}; those known are default and callers")
        default = _limits("default", document.get("default", {}), Limits())
        tables = _table("callers", document.get("callers", {}))
        return cls(
            default, {name: _limits(f"callers.{name}", table, default) for name, table in tables.items()}
        )

    def limits(self, caller: str) -> Limits:
        return self.callers.get(caller, self.default)


def _limits(name: str, table: Any, default: Limits) -> Limits:
    values = _table(name, table)
    known = [field.name for field in dataclasses.fields(Limits)]
    if unknown := values.keys() - set(known):
        raise ValueError(f"{min(unknown)} in {name} is no limit; those known are {', '.join(known)}")
    for key, value in values.items():
        if not _is_valid(key, value):
            raise ValueError(f"{key} in {name} must be {_WANTED.get(key, 'a positive number or inf')}")
    return dataclasses.replace(default, **values)


_WANTED = {"allowed": "true or false", "streams": "a whole number from 1, or inf"}


def _is_valid(key: str, value: Any) -> bool:
    if key == "allowed":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # False for nan as well.
    return (
        value >= 1 and value in {math.inf, int(value)} if key == "streams" and value < math.inf else value > 0
    )


def _table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a table")  # noqa: TRY004 - of the file's
    return value
