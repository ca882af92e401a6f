"""Where transcripts are written."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gateway.rendering.formats import OutputFormat

STDIN = "-"
STDOUT = "-"
NAME = "{name}"


class OutputProblem(Exception):  # noqa: N818 - named after what happened
    """The command line asks for outputs that cannot be; the message says why."""


def plan_outputs(
    recordings: Sequence[str], output: str | None, output_format: OutputFormat
) -> list[Path | None]:
    """A file for each recording, in order; None is standard output. Makes folders; raises OutputProblem.

    `output` is a file, a folder (one that exists, or ends with "/", or any name where there are several recordings), or a
    template with {name}, the recording's name without folder and suffix.
    """
    if output is None or output == STDOUT:
        if len(recordings) > 1 and output_format in (OutputFormat.SRT, OutputFormat.VTT):
            raise OutputProblem(
                f"several recordings cannot share one {output_format} output; give a folder with -o"
            )
        return [None] * len(recordings)
    several = len(recordings) > 1
    paths = [_path(name, output, output_format, several=several) for name in _names(recordings)]
    _refuse_clashes(recordings, paths)
    for path in paths:
        _make_way(path)
    return list(paths)


def infer_format(output: str | None) -> OutputFormat:
    """What the output's suffix says; text where it says nothing."""
    suffix = Path(output or "").suffix.lower()
    return next((each for each in OutputFormat if each.suffix == suffix), OutputFormat.TEXT)


def write_atomically(path: Path, text: str) -> None:
    """The file appears complete, or not at all, or stays what it was; pipes and devices are written to. Raises OSError."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    target = path.resolve()
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _names(recordings: Sequence[str]) -> list[str]:
    """Without folder and suffix; with its suffix where that is what tells two recordings apart."""
    paths = [Path("stdin" if recording == STDIN else recording) for recording in recordings]
    stems = Counter(path.stem for path in paths)
    return [path.stem if stems[path.stem] == 1 else path.name for path in paths]


def _path(name: str, output: str, output_format: OutputFormat, *, several: bool) -> Path:
    if NAME in output:
        return Path(output.replace(NAME, name))
    if several or output.endswith(os.sep) or Path(output).is_dir():
        return Path(output) / f"{name}{output_format.suffix}"
    return Path(output)


def _make_way(path: Path) -> None:
    """Make the file's folder, and refuse what could not be written before there is anything to write."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputProblem(f"{path} cannot be written: {error.filename}: {error.strerror}") from error
    if path.is_dir():
        raise OutputProblem(f"{path} is a folder; name a file in it")
    # Files are replaced by a finished one beside them; what is no file is written to as it is.
    written = path if path.exists() and not path.is_file() else path.resolve().parent
    if not os.access(written, os.W_OK):
        raise OutputProblem(f"{path} cannot be written: you may not write to {written}")


def _refuse_clashes(recordings: Sequence[str], paths: Sequence[Path]) -> None:
    written: dict[Path, str] = {}
    read = {Path(recording).resolve() for recording in recordings if recording != STDIN}
    for recording, path in zip(recordings, paths, strict=True):
        target = path.resolve()
        if target in read:
            raise OutputProblem(f"{path} is a recording to read; it will not be written over")
        if target in written:
            raise OutputProblem(f"{written[target]} and {recording} would both be written to {path}")
        written[target] = recording
