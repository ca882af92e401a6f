"""The encoder: utterances' features, padded to one length, through the model's own graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnxruntime

from asr_service.engines.onnx_header import OnnxHeader
from asr_service.engines.ort.runtime import Array, Session
from asr_service.engines.ort.stages import Encoded, Floats

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
    def of(cls, header: OnnxHeader, *, time_axis: Axis, time_axis_out: Axis, subsampling: int) -> "Signature":
        """By position, as sherpa-onnx reads them: exporters do not agree on names."""
        features, lengths, *_ = header.inputs
        frames_out, *more = header.outputs
        lengths_out = more[0] if more else None
        return cls(features, lengths, frames_out, lengths_out, time_axis, time_axis_out, subsampling)

    def inputs(self, features: Sequence[Floats], frames: int, padding: float) -> dict[str, Array]:
        """A batch of utterances' (frames, bins) as the session takes it, `padding` behind each up to `frames`."""
        batch = np.full((len(features), frames, features[0].shape[1]), padding, np.float32)
        for row, utterance in zip(batch, features, strict=True):
            row[: len(utterance)] = utterance
        lengths = np.array([len(utterance) for utterance in features], np.int64)
        return {
            self.features: batch if self.time_axis == 1 else batch.transpose(0, 2, 1),
            self.lengths: lengths,
        }


def encode(
    session: Session,
    signature: Signature,
    inputs: dict[str, Array],
    options: onnxruntime.RunOptions | None = None,
) -> Encoded:
    """Runs a batch that `Signature.inputs` made; its frames stay on the session's device."""
    outputs = session.run(inputs, keep=session.outputs.keys() - {signature.lengths_out}, options=options)
    if signature.lengths_out is None:
        # Strided convolutions give a frame to whatever is left at the end.
        lengths = -(-inputs[signature.lengths] // signature.subsampling)
    else:
        lengths = outputs[signature.lengths_out].numpy().astype(np.int64)
    return Encoded(outputs, lengths)


def first_row(signature: Signature, encoded: Encoded) -> Floats:
    """What the encoder gave for the first utterance, without its padding: (frames, width)."""
    batch = encoded.outputs[signature.frames_out].numpy()
    row: Floats = batch[0] if signature.time_axis_out == 1 else batch[0].T
    return row[: encoded.lengths[0]]
