"""Dynamic time warping of tokens to frames, many utterances at once.

Reference: openai/whisper, whisper/timing.py, `dtw`; ties as sherpa-onnx breaks them (k2-fsa/sherpa-onnx,
sherpa-onnx/csrc/offline-whisper-dtw.cc): on to the next token and frame before on to the next token alone before staying.
"""

import numpy as np
import numpy.typing as npt

from asr_service.engines.ort.stages import Floats, Integers

Flags = npt.NDArray[np.bool_]

# Utterances that are warped together: so many that NumPy works, so few that a processor's cache holds them.
_TOGETHER = 32


def first_frames(costs: Floats, frames: Integers, tokens: Integers) -> Integers:
    """The frame at which the cheapest path comes to each token, [N, n]; it begins at 0 with the first token.

    `costs` [N, M, n] are those of utterance, frame and token; of these utterance b has `frames[b]` and `tokens[b]`, at
    least one of each. What the result holds behind an utterance's tokens is filling.
    """
    chunks = [slice(start, start + _TOGETHER) for start in range(0, len(costs), _TOGETHER)]
    return np.concatenate([_first_frames(costs[rows], frames[rows], tokens[rows]) for rows in chunks])


def _first_frames(costs: Floats, frames: Integers, tokens: Integers) -> Integers:
    """Walks each path from its end. Counts frames and tokens from 1, as `_totals` does."""
    entered, with_frame = _arrivals(_totals(costs))
    rows, frame = np.arange(len(costs)), frames
    result = np.zeros((len(costs), costs.shape[2]), np.int64)
    for token in range(costs.shape[2], 0, -1):
        diagonal = entered[token + frame, rows, token]
        first = np.where(token <= tokens, diagonal - token, frame)
        result[:, token - 1] = first - 1
        frame = np.where(token <= tokens, first - with_frame[diagonal, rows, token], frame)
    return result


def _totals(costs: Floats) -> Floats:
    """What the cheapest path to each place costs, by diagonals: [M + n + 1, N, n + 1], at [frame + token, utterance, token].

    0 is before the first frame or token. A place on a diagonal depends on the two diagonals before it alone.
    """
    count, longest, most = costs.shape
    totals = np.full((longest + most + 1, count, most + 1), np.inf, np.float32)
    totals[0, :, 0] = 0
    backwards = costs[:, ::-1]
    for diagonal in range(2, longest + most + 1):
        low, high = max(1, diagonal - longest), min(most, diagonal - 1)
        last, here = slice(low - 1, high), slice(low, high + 1)
        place = totals[diagonal, :, here]
        np.minimum(totals[diagonal - 2, :, last], totals[diagonal - 1, :, last], out=place)
        np.minimum(totals[diagonal - 1, :, here], place, out=place)
        place += backwards.diagonal(diagonal - 1 - longest, axis1=1, axis2=2)
    return totals


def _arrivals(totals: Floats) -> tuple[npt.NDArray[np.int16], Flags]:
    """For each place the diagonal on which its token was come to, and whether that was together with a new frame."""
    entered = np.zeros(totals.shape, np.int16)
    with_frame = np.zeros(totals.shape, np.bool_)
    both, token, frame = totals[:-2, :, :-1], totals[1:-1, :, :-1], totals[1:-1, :, 1:]
    with_frame[2:, :, 1:] = (both <= token) & (both <= frame)
    moved = np.minimum(both, token) <= frame
    numbers = np.arange(2, len(totals), dtype=np.int16)[:, None, None]
    np.maximum.accumulate(numbers * moved, axis=0, out=entered[2:, :, 1:])
    return entered, with_frame
