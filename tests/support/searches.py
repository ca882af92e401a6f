"""Searches over random decoders, each beside the reference that decodes one utterance after the other."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnxruntime import OrtValue

from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.search import nemo_search, stateless_search
from asr_service.engines.ort.stages import Encoded, Hypotheses, Search
from support.random_decoders import RandomDecoder
from support.reference_search import Found, RecurrentReference, StatelessReference

Floats = npt.NDArray[np.float32]

UNKNOWN = 5
"""A token that icefall's random decoder would say often."""


@dataclass(frozen=True)
class Case:
    name: str
    decoder: RandomDecoder
    one_file: bool = False
    stateless: bool = False
    window: int | None = None
    for_gpu: bool = False
    """As a GPU would run it, but here."""

    def load(self, directory: Path) -> tuple[Search, Callable[[Floats], Found]]:
        """The search, and the reference for an utterance's frames (time, dim)."""
        decoder, joiner = directory / "decoder.onnx", directory / "joiner.onnx"
        tokens = self.decoder.tokens
        here = Placement(device="cuda" if self.for_gpu else "cpu")
        if self.stateless:
            self.decoder.write_stateless(decoder, joiner)
            search = stateless_search(decoder, joiner, unknown=UNKNOWN).on(
                here, frames="out", window=self.window
            )
            return search, StatelessReference(decoder, joiner, self.decoder.context, UNKNOWN)
        if self.one_file:
            self.decoder.write_fused(decoder)
            search = nemo_search(decoder, None, tokens=tokens).on(here, frames="out", window=self.window)
            reference = RecurrentReference(decoder, None, tokens=tokens)
        else:
            self.decoder.write_recurrent(decoder, joiner)
            search = nemo_search(decoder, joiner, tokens=tokens).on(here, frames="out", window=self.window)
            reference = RecurrentReference(decoder, joiner, tokens=tokens)
        return search, reference.tdt if self.decoder.durations else reference.rnnt

    def encoded(self, frames: Floats, lengths: Sequence[int]) -> Encoded:
        """As an encoder of this family gives frames (batch, time, dim)."""
        outputs = frames if self.stateless else frames.transpose(0, 2, 1)
        return encoded(outputs, lengths)


RNNT, TDT = RandomDecoder(), RandomDecoder(durations=5)
CASES = {
    case.name: case
    for case in (
        Case("stateless", RNNT, stateless=True),
        Case("stateless frame by frame", RNNT, stateless=True, window=1),
        Case("stateless with a context of one", RandomDecoder(context=1), stateless=True),
        Case("rnnt", RNNT),
        Case("rnnt frame by frame", RNNT, window=1),
        Case("rnnt with wide windows", RNNT, window=16),
        Case("rnnt in one file", RandomDecoder(log_softmax=True), one_file=True),
        Case("tdt", TDT),
        Case("stateless for GPUs", RNNT, stateless=True, for_gpu=True),
        Case("rnnt for GPUs", RNNT, for_gpu=True),
        Case("rnnt frame by frame for GPUs", RNNT, window=1, for_gpu=True),
        Case("tdt for GPUs", TDT, for_gpu=True),
        Case("tdt in one file", RandomDecoder(durations=5, log_softmax=True, layers=1), one_file=True),
    )
}


def encoded(outputs: Floats, lengths: Sequence[int]) -> Encoded:
    value = OrtValue.ortvalue_from_numpy(np.ascontiguousarray(outputs))
    return Encoded({"out": value}, np.asarray(lengths, np.int64))


def rows(hypotheses: Hypotheses) -> list[Found]:
    """What each row holds, without its filling."""
    durations = hypotheses.durations if hypotheses.durations is not None else np.zeros_like(hypotheses.tokens)
    columns = (hypotheses.tokens, hypotheses.frames, durations, hypotheses.log_probs)
    return [
        Found(*(column[row, :count].tolist() for column in columns))
        for row, count in enumerate(hypotheses.counts)
    ]


def alike(found: Iterable[Found], expected: Iterable[Found]) -> None:
    """Asserts that tokens, frames and durations are equal, and log-probabilities up to rounding."""
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.tokens, ours.frames, ours.durations) == (theirs.tokens, theirs.frames, theirs.durations)
        np.testing.assert_allclose(ours.log_probs, theirs.log_probs, atol=1e-4)
