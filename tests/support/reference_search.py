"""Greedy search as sherpa-onnx 2.0.1 runs it: one utterance after the other, one frame after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

Floats = npt.NDArray[np.float32]


@dataclass
class Found:
    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)

    def add(self, token: int, frame: int, logits: Floats, duration: int = 0) -> None:
        self.tokens.append(token)
        self.frames.append(frame)
        self.durations.append(duration)
        self.log_probs.append(float(log_softmax(logits)[token]))


class StatelessReference:
    """offline-transducer-greedy-search-decoder.cc. Frames have the shape (time, dim)."""

    def __init__(self, decoder: Path, joiner: Path, context: int, unknown: int | None = None) -> None:
        self._decoder, self._joiner = session(decoder), session(joiner)
        self._context, self._unknown = context, unknown

    def __call__(self, frames: Floats) -> Found:
        found = Found()
        labels = [*[-1] * (self._context - 1), 0]
        said = self._predict(labels)
        for number, frame in enumerate(frames):
            (logits,) = self._joiner.run(None, {"encoder_out": frame[np.newaxis], "decoder_out": said})
            token = int(logits[0].argmax())
            if token not in {0, self._unknown}:
                found.add(token, number, logits[0])
                labels = [*labels[1:], token]
                said = self._predict(labels)
        return found

    def _predict(self, labels: Sequence[int]) -> Floats:
        (said,) = self._decoder.run(None, {"y": np.array([labels])})
        return said


class RecurrentReference:
    """offline-transducer-greedy-search-nemo-decoder.cc, on NeMo's two files or its one."""

    def __init__(self, decoder: Path, joiner: Path | None, *, tokens: int) -> None:
        self._decoder = session(decoder)
        self._joiner = session(joiner) if joiner else None
        self._blank = tokens - 1

    def rnnt(self, frames: Floats) -> Found:
        found, last, states = Found(), self._blank, self._initial()
        for number, frame in enumerate(frames):
            for _ in range(10):
                logits, after = self._logits(frame, last, states)
                token = int(logits.argmax())
                if token == self._blank:
                    break
                found.add(token, number, logits)
                last, states = token, after
        return found

    def tdt(self, frames: Floats) -> Found:
        found, last, states = Found(), self._blank, self._initial()
        number = at_this_frame = 0
        while number < len(frames):
            outputs, after = self._logits(frames[number], last, states)
            logits, durations = outputs[: self._blank + 1], outputs[self._blank + 1 :]
            token, skip = int(logits.argmax()), int(durations.argmax())
            if token != self._blank:
                found.add(token, number, logits, skip)
                last, states = token, after
                at_this_frame += 1
            if skip > 0:
                at_this_frame = 0
            if at_this_frame >= 5 or (token == self._blank and skip == 0):
                at_this_frame, skip = 0, 1
            number += skip
        return found

    def _initial(self) -> list[Floats]:
        inputs = [tensor for tensor in self._decoder.get_inputs() if tensor.type == "tensor(float)"]
        if self._joiner is None:
            inputs = inputs[1:]
        return [np.zeros((tensor.shape[0], 1, tensor.shape[2]), np.float32) for tensor in inputs]

    def _logits(self, frame: Floats, last: int, states: list[Floats]) -> tuple[Floats, list[Floats]]:
        """What the joint gives for this frame after the label `last`, and the states after it."""
        frames = frame[np.newaxis, :, np.newaxis]
        labels = [np.array([[last]], np.int32), np.array([1], np.int32)]
        if self._joiner is None:
            logits, _, *after = run(self._decoder, frames, *labels, *states)
        else:
            said, _, *after = run(self._decoder, *labels, *states)
            (logits,) = run(self._joiner, frames, said)
        return logits.ravel(), after


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(model: onnxruntime.InferenceSession, *values: npt.NDArray[np.generic]) -> list[Floats]:
    """By position."""
    names = [tensor.name for tensor in model.get_inputs()]
    return model.run(None, dict(zip(names, values, strict=True)))


def log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())
