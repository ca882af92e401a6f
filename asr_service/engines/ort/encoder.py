"""The encoder: utterances' features, padded to one length, through the model's own graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnxruntime
from onnxruntime import OrtValue

from asr_service.engines.onnx_header import OnnxHeader
from asr_service.engines.ort.runtime import Array, Session
from asr_service.engines.ort.stages import Encoded, Floats, Integers

Axis = Literal[1, 2]


@dataclass(frozen=True)
class Signature:
    """How an encoder takes its features, and what it says of its output."""

    features: str
    """Name of the input that takes the padded features."""
    lengths: str
    """Name of the input that takes their numbers of frames, int64 of shape (batch,)."""
    frames_out: str
    """Name of the output, frame by frame."""
    lengths_out: str | None
    """Name of the output with the number of frames that hold something; None where the model does not say."""
    time_axis: Axis
    """Of the features: 1 is (batch, time, bin), 2 is (batch, bin, time)."""
    time_axis_out: Axis
    subsampling: int
    """Feature frames for each encoder frame; the last one may have fewer."""

    @classmethod
    def of(cls, header: OnnxHeader, time_axis: Axis, time_axis_out: Axis, subsampling: int) -> "Signature":
        """By position, as sherpa-onnx reads them: exporters do not agree on names."""
        features, lengths, *_ = header.inputs
        frames_out, *more = header.outputs
        lengths_out = more[0] if more else None
        return cls(features, lengths, frames_out, lengths_out, time_axis, time_axis_out, subsampling)

    def inputs(self, features: Array | OrtValue, lengths: Integers) -> dict[str, Array | OrtValue]:
        """A batch's features and how many frames are a row's own, as the session takes them."""
        return {self.features: features, self.lengths: lengths}


def encode(
    session: Session,
    signature: Signature,
    features: Floats | OrtValue,
    lengths: Integers,
    options: onnxruntime.RunOptions | None = None,
) -> Encoded:
    """Runs a batch of features; what comes of its frames stays on the session's device."""
    inputs = signature.inputs(features, lengths)
    outputs = session.run(inputs, keep=session.outputs.keys() - {signature.lengths_out}, options=options)
    return Encoded(outputs, encoded_lengths(signature, outputs, lengths))


def encoded_lengths(signature: Signature, outputs: Mapping[str, OrtValue], lengths: Integers) -> Integers:
    """Encoder frames that hold something, of so many feature frames."""
    if signature.lengths_out is None:
        # Strided convolutions give a frame to whatever is left at the end.
        return -(-lengths // signature.subsampling)
    return unpadded_lengths(signature, outputs)


def unpadded_lengths(signature: Signature, outputs: Mapping[str, OrtValue]) -> Integers:
    """Encoder frames that hold something: what the model says, or where it does not, all that there are."""
    if signature.lengths_out is not None:
        said: Integers = outputs[signature.lengths_out].numpy().astype(np.int64)
        return said
    shape = outputs[signature.frames_out].shape()
    return np.full(shape[0], shape[signature.time_axis_out], np.int64)


def rows(signature: Signature, encoded: Encoded) -> list[Floats]:
    """What the encoder gave for each utterance, without its padding: (frames, width)."""
    batch = encoded.outputs[signature.frames_out].numpy()
    if signature.time_axis_out == 2:
        batch = batch.transpose(0, 2, 1)
    return [row[:length] for row, length in zip(batch, encoded.lengths, strict=True)]
