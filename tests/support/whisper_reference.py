"""Whisper's search and times as sherpa-onnx and OpenAI compute them: one utterance, one token, one place after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from asr_service.engines.ort.stages import Floats

_INFINITY = np.float32(np.inf)


def alignment_costs(weights: Floats) -> Floats:
    """[heads, tokens, frames] to [tokens, frames]: openai/whisper, timing.py; offline-whisper-dtw.cc."""
    odds = np.exp(weights.astype(np.float64))
    scores = odds / odds.sum(axis=-1, keepdims=True)
    centred = scores - scores.mean(axis=1, keepdims=True)
    standard = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-9)
    last = weights.shape[-1] - 1
    places = [
        [min(abs(at) if at <= last else max(0, 2 * last - at), last) for at in range(frame - 3, frame + 4)]
        for frame in range(last + 1)
    ]
    smooth: Floats = -np.median(standard[:, :, places], axis=-1).mean(axis=0)
    return smooth


def first_frames(costs: Floats) -> list[int]:
    """The frame of each token's first place on the cheapest path through [tokens, frames]."""
    tokens, frames = costs.shape
    totals = np.full((tokens + 1, frames + 1), _INFINITY, np.float32)
    totals[0, 0] = 0
    came = {}
    for frame in range(1, frames + 1):
        for token in range(1, tokens + 1):
            # The first of equals wins.
            before = [(token - 1, frame - 1), (token - 1, frame), (token, frame - 1)]
            best = min(before, key=lambda place: totals[place])
            totals[token, frame] = costs[token - 1, frame - 1] + totals[best]
            came[token, frame] = best
    place, path = (tokens, frames), []
    while place in came:
        path.append(place)
        place = came[place]
    return [min(frame for of, frame in path if of == token) - 1 for token in range(1, tokens + 1)]


@dataclass
class Found:
    tokens: list[int]
    log_probs: list[float]
    weights: Floats
    """[heads, prompt and tokens, frames]."""


def search(
    decoder: onnxruntime.InferenceSession,
    cross: Sequence[Floats],
    prompt: Sequence[int],
    *,
    end: int,
    limit: int,
) -> Found:
    """offline-whisper-greedy-search-decoder.cc: caches in full length, from one call of the exported decoder to the next."""
    names = [tensor.name for tensor in decoder.get_inputs()]
    shape = [size if isinstance(size, int) else 1 for size in decoder.get_inputs()[1].shape]
    caches: Sequence[Any] = [np.zeros(shape, np.float32)] * 2
    given, offset, found = list(prompt), 0, Found([], [], np.empty(0, np.float32))
    heard = []
    for _ in range(limit + 1):
        values = (np.array([given]), *caches, *cross, np.array([offset]))
        logits, *caches, weights = decoder.run(None, dict(zip(names, values, strict=True)))
        offset += len(given)
        heard.append(weights[0])
        scores = logits[0, -1].astype(np.float64)
        best = int(scores.argmax())
        if best == end or len(found.tokens) == limit:
            break
        found.tokens.append(best)
        found.log_probs.append(float(scores[best] - np.logaddexp.reduce(scores)))
        given = [best]
    found.weights = np.concatenate(heard, axis=1)
    return found


def prompt_of(metadata: Mapping[str, str]) -> list[int]:
    """Of a model of English alone."""
    return [*map(int, metadata["sot_sequence"].split(",")), int(metadata["no_timestamps"])]
