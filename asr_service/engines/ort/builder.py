"""Builds one engine, in a process of its own: native code that crashes takes nobody with it.

    python -m asr_service.engines.ort.builder FOLDER     with an Order as JSON on standard input

Writes what belongs into FOLDER, and lines of JSON to standard output: {"stage": …} as it goes on, and in the end
{"report": …} or {"error": …}.
"""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from asr_service.engines.ort.devices import look
from asr_service.engines.ort.finished import finished_graph, left_over, nodes_by_provider
from asr_service.engines.ort.gate import Reference
from asr_service.engines.ort.network import Answer, Subject
from asr_service.engines.ort.order import ENCODER, GRAPH, REFERENCE, Order, Report, read_order
from asr_service.engines.ort.profiles import parse
from asr_service.engines.ort.refining import refine
from asr_service.engines.ort.runtime import Array, Placement, Session
from serving.cores import cores
from serving.errors import ModelUnavailable

Tell = Callable[[str], None]
_PR_SET_PDEATHSIG = 1


class Builder:
    """`open_session` makes sessions; the three steps share one input and one search on the CPU."""

    def __init__(
        self, subject: Subject, order: Order, folder: Path, tell: Tell, open_session: Any = Session
    ) -> None:
        self._subject = subject
        self._order = order
        self._folder = folder
        self._tell = tell
        self._open = open_session
        self._host = Placement(threads=cores())

    def build(self) -> Report:
        """Raises ModelUnavailable."""
        self._tell("computing the reference on the CPU")
        reference = self._reference()
        self._tell("rewriting the encoder for TensorRT")
        refine(self._subject.encoder, self._encoder, may_round=self._order.may_round)
        self._tell("building the engine: TensorRT tries out its kernels, which takes minutes")
        begun = time.monotonic()
        finding = self._engine(reference.inputs)
        seconds = time.monotonic() - begun
        self._tell("comparing it with the CPU")
        graph, session = self._finished(finding)
        figures = reference.compare(*self._answer(session, reference.inputs))
        reference.save(self._folder / REFERENCE)
        return Report(
            seconds,
            sum(path.stat().st_size for path in self._engines()),
            figures.relative_error,
            figures.token_agreement,
            [list(row) for row in reference.tokens],
            graph,
            finding,
        )

    @property
    def _encoder(self) -> Path:
        return self._folder / ENCODER

    def _reference(self) -> Reference:
        inputs = self._subject.trial(parse(self._order.profile))
        outputs, tokens = self._answer(self._open(self._subject.encoder, self._host), inputs)
        return Reference.of(inputs, outputs, tokens)

    def _answer(self, session: Session, inputs: Mapping[str, Array]) -> Answer:
        return self._subject.answer(session.run(inputs), self._host)

    def _engine(self, inputs: Mapping[str, Array]) -> str:
        """Builds, and gives what TensorRT left to others."""
        session = self._open(self._encoder, self._order.building, trace=self._folder / "trace")
        session.run(inputs)
        trace = session.finish_trace()
        finding = left_over(nodes_by_provider(trace))
        trace.unlink()
        if not self._engines():
            raise ModelUnavailable(
                f"TensorRT wrote no engine to {self._folder}; see whether its disk is full"
            )
        return finding

    def _finished(self, finding: str) -> tuple[str, Session]:
        """The file to load from now on, and a session of it: of the engine alone where it is the whole encoder."""
        if not finding and len(self._engines()) == 1:
            path = self._folder / GRAPH
            path.write_bytes(finished_graph(self._subject.encoder, self._engines()[0].name))
            try:
                session = self._open(path, self._order.finished)
            except ModelUnavailable as error:
                # It only starts slower.
                self._tell(f"keeping the encoder beside the engine, which fails alone: {error.message}")
                path.unlink()
            else:
                self._discard_encoder()
                return GRAPH, session
        return ENCODER, self._open(self._encoder, self._order.building)

    def _discard_encoder(self) -> None:
        for path in self._folder.glob(f"{ENCODER}*"):
            path.unlink()

    def _engines(self) -> list[Path]:
        return sorted(self._folder.glob("*.engine"))


def main() -> None:
    # Heavy, and of no use to the process that only reads reports.
    from asr_service.engines.ort.families import network  # noqa: PLC0415

    obey(lambda order, _: network(Path(order.model)))


def obey(subject: Callable[[Order, Path], Subject]) -> None:
    """Builds what standard input orders, and reports it; `subject` is made of the order and of the folder."""
    _end_with_parent()
    say = _claim_stdout()
    # It loads the libraries that came as packages, which sessions do not find by themselves.
    look()
    order, folder = read_order(json.load(sys.stdin)), Path(sys.argv[1])

    def tell(stage: str) -> None:
        say({"stage": stage})

    try:
        report = Builder(subject(order, folder), order, folder, tell).build()
        say({"report": asdict(report)})
    except ModelUnavailable as error:
        say({"error": error.message})
        sys.exit(1)


def _claim_stdout() -> Callable[[Mapping[str, Any]], None]:
    """Native libraries print where they like: what they take for standard output becomes standard error."""
    kept: IO[str] = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(message: Mapping[str, Any]) -> None:
        kept.write(json.dumps(message) + "\n")
        kept.flush()

    return say


def _end_with_parent() -> None:
    """A build that nobody waits for any more would keep the GPU busy for minutes. Linux only, as TensorRT here."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
