"""Greedy searches: what the encoder gave for a batch becomes tokens.

Transducers run in one graph on the device where the encoder's output lies (graphs/search.py). For CTC the best token of each
frame is chosen there, and repetitions and blanks are dropped on the host.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
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


def stateless_search(
    decoder: Path,
    joiner: Path,
    placement: Placement,
    *,
    frames: str,
    unknown: int | None = None,
    window: int | None = None,
) -> Search:
    """For icefall's transducers, whose blank is token 0; `unknown` is a token that counts as blank.

    `frames` names the encoder's output, (batch, time, dim); a step looks at `window` of them, or as many as suit the
    device. Raises ModelUnavailable where the files are of no use.
    """
    model = lean(stateless(decoder, joiner))
    rules = Rules(model.outputs, blank=0, most=1, unknown=unknown)
    return _TransducerSearch(model, rules, placement, frames, window)


def nemo_search(
    decoder: Path,
    joiner: Path | None,
    placement: Placement,
    *,
    frames: str,
    tokens: int,
    most: int | None = None,
    window: int | None = None,
) -> Search:
    """For NeMo's RNN-T and TDT. `joiner` is None where `decoder` holds both; `tokens` counts blank, which is the last.

    `frames` names the encoder's output, (batch, dim, time); a step of an RNN-T looks at `window` of them, or as many as suit
    the device. A frame has at most `most` labels; without it, as many as sherpa-onnx lets it have. Raises
    ModelUnavailable where the files are of no use.
    """
    model = lean(fused(decoder) if joiner is None else recurrent(decoder, joiner))
    durations = model.outputs - tokens
    if durations < 0:
        raise ModelUnavailable(
            f"{joiner or decoder} knows {model.outputs} tokens and the vocabulary {tokens}; fetch the model again"
        )
    most = most or (_MOST_OF_TDT if durations else _MOST_OF_RNNT)
    rules = Rules(tokens, blank=tokens - 1, most=most, durations=durations)
    return _TransducerSearch(model, rules, placement, frames, window)


class _TransducerSearch:
    def __init__(
        self,
        model: Transducer,
        rules: Rules,
        placement: Placement,
        frames: str,
        window: int | None,
    ) -> None:
        self._frames, self._most = frames, rules.most
        self._time_axis = 2 if model.time_last else 1
        window = 1 if rules.durations else window or _WINDOW[placement.device]
        all_rows = placement.device != "cpu"
        graph = compose(model, rules, window=window, all_rows=all_rows)
        self._session = Session(graph.SerializeToString(), placement)

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
