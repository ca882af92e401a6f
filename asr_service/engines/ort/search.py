"""Greedy searches: what the encoder gave for a batch becomes tokens.

Transducers run in one graph on the device where the encoder's output lies (graphs/search.py). For CTC the best token of each
frame is chosen there, and repetitions and blanks are dropped on the host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime import RunOptions

from asr_service.engines.ort.graphs import ctc
from asr_service.engines.ort.graphs.lean import lean
from asr_service.engines.ort.graphs.rules import Rules
from asr_service.engines.ort.graphs.search import compose
from asr_service.engines.ort.graphs.transducer import Transducer, fused, recurrent, stateless
from asr_service.engines.ort.runtime import Array, Placement, Session
from asr_service.engines.ort.stages import Encoded, Hypotheses, Search
from serving.errors import ModelUnavailable

# sherpa-onnx 2.0.1's caps on the labels of one frame.
_MOST_OF_RNNT, _MOST_OF_TDT = 10, 5

_WINDOW = {"cpu": 4, "cuda": 8}
"""Frames that a step looks at. On GPUs a step costs its kernels' launches, whatever they compute; on CPUs the joint counts."""


@dataclass(frozen=True)
class GreedySearch:
    """A transducer and the rules by which it is decoded, not yet loaded."""

    model: Transducer
    rules: Rules

    def graph(self, device: str, window: int | None = None) -> onnx.ModelProto:
        """For "cpu" or "cuda": a step looks at `window` frames, or as many as suit the device; a TDT's at one."""
        window = 1 if self.rules.durations else window or _WINDOW[device]
        return compose(self.model, self.rules, window=window, all_rows=device != "cpu")

    def on(self, placement: Placement, *, frames: str, window: int | None = None) -> Search:
        """`frames` names the encoder's output. Raises ModelUnavailable where the graph cannot be loaded."""
        return _TransducerSearch(self, placement, frames, window)


def stateless_search(decoder: Path, joiner: Path, *, unknown: int | None = None) -> GreedySearch:
    """For icefall's transducers, whose blank is token 0; `unknown` is a token that counts as blank.

    It takes frames as (batch, time, dim). Raises ModelUnavailable where the files are of no use.
    """
    model = lean(stateless(decoder, joiner))
    return GreedySearch(model, Rules(model.outputs, blank=0, most=1, unknown=unknown))


def nemo_search(decoder: Path, joiner: Path | None, *, tokens: int, most: int | None = None) -> GreedySearch:
    """For NeMo's RNN-T and TDT. `joiner` is None where `decoder` holds both; `tokens` counts blank, which is the last.

    It takes frames as (batch, dim, time). A frame has at most `most` labels; without it, as many as sherpa-onnx lets it
    have. Raises ModelUnavailable where the files are of no use.
    """
    model = lean(fused(decoder) if joiner is None else recurrent(decoder, joiner))
    durations = model.outputs - tokens
    if durations < 0:
        raise ModelUnavailable(
            f"{joiner or decoder} knows {model.outputs} tokens and the vocabulary {tokens}; fetch the model again"
        )
    most = most or (_MOST_OF_TDT if durations else _MOST_OF_RNNT)
    return GreedySearch(model, Rules(tokens, blank=tokens - 1, most=most, durations=durations))


class _TransducerSearch:
    def __init__(self, search: GreedySearch, placement: Placement, frames: str, window: int | None) -> None:
        self._frames, self._most = frames, search.rules.most
        self._time_axis = 2 if search.model.time_last else 1
        self._session = Session(search.graph(placement.device, window).SerializeToString(), placement)

    def __call__(self, encoded: Encoded, options: RunOptions | None = None) -> Hypotheses:
        frames, lengths = encoded.outputs[self._frames], encoded.lengths
        if not lengths.any():
            nothing = np.zeros((len(lengths), 0))
            return _packed(nothing.astype(np.bool_), dict.fromkeys(self._session.outputs, nothing))
        batch, time = len(lengths), frames.shape()[self._time_axis]
        starts = np.arange(batch) * time
        inputs = {
            "frames": frames,
            "starts": starts,
            "ends": starts + lengths,
            "last": np.array(batch * time - 1),
            # Exact: a step leaves a frame or finds one of its labels, and the last of these leaves it.
            "limit": np.array(lengths.max() * self._most),
        }
        found = {name: value.numpy().T for name, value in self._session.run(inputs, options=options).items()}
        found["frames"] = found.pop("places") - starts[:, np.newaxis]
        return _packed(found["tokens"] >= 0, found)


class CtcSearch:
    """For models that say the probability of each token in each frame."""

    def __init__(self, placement: Placement, *, logits: str, blank: int) -> None:
        """`logits` names the model's output, (batch, time, tokens), normalised or not."""
        self._logits, self._blank = logits, blank
        self._session = Session(ctc.compose().SerializeToString(), placement)

    def __call__(self, encoded: Encoded, options: RunOptions | None = None) -> Hypotheses:
        outputs = self._session.run({"logits": encoded.outputs[self._logits]}, options=options)
        found = {name: value.numpy() for name, value in outputs.items()}
        tokens = found["tokens"]
        frames = np.arange(tokens.shape[1])
        changed = np.diff(tokens, prepend=-1) != 0
        inside = frames < encoded.lengths[:, np.newaxis]
        found["frames"] = np.broadcast_to(frames, tokens.shape)
        return _packed(changed & (tokens != self._blank) & inside, found)


def _packed(said: npt.NDArray[np.bool_], found: Mapping[str, Array]) -> Hypotheses:
    """Moves what was `said`, (batch, steps), to the front of each row."""
    counts = said.sum(axis=1)
    rows, steps = said.nonzero()
    columns = (said.cumsum(axis=1) - 1)[rows, steps]

    def packed(name: str, kind: type[np.generic]) -> Array:
        values = np.zeros((len(said), counts.max(initial=0)), kind)
        if len(rows):
            values[rows, columns] = found[name][rows, steps]
        return values

    return Hypotheses(
        tokens=packed("tokens", np.int64),
        frames=packed("frames", np.int64),
        log_probs=packed("log_probs", np.float32),
        counts=counts,
        durations=packed("durations", np.int64) if "durations" in found else None,
    )
