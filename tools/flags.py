"""Write docs/flags.md, every flag of every service, from the flags themselves: `python -m tools.flags > docs/flags.md`."""

import sys
from collections.abc import Iterable, Sequence

import click

from asr_service.__main__ import main as asr
from diarization_service.__main__ import main as diarization
from gateway.__main__ import main as gateway

SERVICES = {"The gateway": gateway, "Recognition": asr, "Diarization": diarization}

_HEAD = """# Flags

What `--help` says, of all three services; written by `python -m tools.flags > docs/flags.md`. Each flag is an environment
variable too: `--max-streams` is `DUOSCRIBE_GATEWAY_MAX_STREAMS`, `DUOSCRIBE_ASR_MAX_STREAMS` or
`DUOSCRIBE_DIARIZATION_MAX_STREAMS`. The flag wins. Flags that may be given several times are separated by commas in their
variable. [Operations](operations.md) says when to change which.
"""


def page() -> str:
    """The whole page, in Markdown."""
    options = {title: _options(command) for title, command in SERVICES.items()}
    rows = {title: [_row(option) for option in of_one] for title, of_one in options.items()}
    shared = [row for row in rows["The gateway"] if all(row in others for others in rows.values())]
    own = {title: [row for row in of_one if row not in shared] for title, of_one in rows.items()}
    return "\n".join([_HEAD, *_table("Every service", shared), *_tables(own.items())])


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def _tables(sections: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    return [line for title, rows in sections for line in _table(title, rows)]


def _table(title: str, rows: Sequence[str]) -> list[str]:
    return [
        f"## {title}",
        "",
        "| flag | values | default | what it says |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
    ]


def _row(option: click.Option) -> str:
    """`show_default` is a text where the default is none, and False where it is secret."""
    default = option.show_default if isinstance(option.show_default, str) else _value(option.default)
    told = f"`{default}`" if option.show_default else "not told"
    return f"| `{option.opts[0]}` | {_values(option)} | {told} | {_in_a_cell(option.help or '')} |"


def _values(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in option.type.choices)
    if isinstance(option.type, click.IntRange | click.FloatRange):
        return _range(option.type.min, option.type.max)
    return "on or off, with `--no-`" if option.secondary_opts else "several" if option.multiple else ""


def _range(least: float | None, most: float | None) -> str:
    if most is None:
        return "" if least is None else f"from {_value(least)}"
    return f"{_value(least)} to {_value(most)}"


def _value(value: object) -> str:
    """As one would type it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(_value, value))
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
