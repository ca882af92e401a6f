"""Builds engines ahead of time: each in a process of its own, into the cache, with word of how far it is."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from asr_service.engines.ort.cache import EngineCache, Entry
from asr_service.engines.ort.gate import Figures, judge
from asr_service.engines.ort.order import Order, Report
from asr_service.engines.ort.recipe import Recipe
from asr_service.engines.ort.record import Record
from asr_service.engines.ort.settings import Bounds
from serving.errors import ModelUnavailable

Tell = Callable[[str], None]
# Carries out an order in a folder.
Work = Callable[[Order, Path, Tell], Report]

_BUILDER = (sys.executable, "-P", "-m", "asr_service.engines.ort.builder")
# Characters of standard error that are shown of a process that failed.
_LAST_WORDS = 4000


def build(recipe: Recipe, cache: EngineCache, *, model: str, bounds: Bounds, tell: Tell, work: Work) -> Entry:
    """The engine of this recipe: out of the cache where it is there and whole, or else built and checked.

    `model` is what the user calls it. Raises ModelUnavailable where it cannot be built or kept, or computes something
    else than the CPU; nothing of it is kept then.
    """
    folder = str(recipe.network.encoder.parent)

    def fill(partial: Path) -> Record:
        order = Order(
            folder, str(recipe.profile), recipe.may_round, recipe.building(partial), recipe.finished
        )
        report = work(order, partial, tell)
        record = _record(recipe, model, report)
        judge(record.figures, bounds)
        return record

    return cache.make(
        recipe.identity,
        fill,
        room=recipe.room,
        on_wait=lambda: tell("waiting for another process that builds it"),
    )


def in_own_process(order: Order, folder: Path, tell: Tell, *, command: Sequence[str] = _BUILDER) -> Report:
    """Raises ModelUnavailable with what went wrong, however the process ended."""
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [*command, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            return _converse(process, order, tell)
        except ModelUnavailable:
            # What went wrong in detail only native libraries' own lines say.
            sys.stderr.write(_tail(errors))
            raise
        finally:
            # Whoever is interrupted here does not leave a GPU at work.
            process.kill()


def _converse(process: "subprocess.Popen[str]", order: Order, tell: Tell) -> Report:
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise RuntimeError("the process was started without pipes")
    # One that died before it read its order has said why elsewhere.
    with suppress(BrokenPipeError), stdin:
        stdin.write(json.dumps(asdict(order)))
    report: Report | None = None
    for line in stdout:
        report = _heard(json.loads(line), tell) or report
    code = process.wait()
    if code or report is None:
        raise ModelUnavailable(
            f"TensorRT's engine could not be built: the process that builds ended {_ending(code)}"
        )
    return report


def _heard(message: Mapping[str, Any], tell: Tell) -> Report | None:
    if "error" in message:
        raise ModelUnavailable(f"TensorRT's engine could not be built: {message['error']}")
    if "stage" in message:
        tell(message["stage"])
        return None
    return Report(**message["report"])


def _ending(code: int) -> str:
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
    return (
        f"{how}, and its last lines are above; try --provider-option trt_builder_optimization_level=2, or run the model with "
        "--provider cuda"
    )


def _tail(errors: IO[bytes]) -> str:
    errors.seek(0)
    return errors.read().decode("utf-8", "replace")[-_LAST_WORDS:]


def _record(recipe: Recipe, model: str, report: Report) -> Record:
    return Record(
        recipe.identity,
        model,
        recipe.request.precision,
        datetime.now(UTC).isoformat(timespec="seconds"),
        report.seconds,
        report.engine_bytes,
        Figures(report.relative_error, report.token_agreement),
        tuple(tuple(row) for row in report.tokens),
        report.graph,
        report.finding,
    )
