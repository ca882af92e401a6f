"""From token ids and encoder frames to tokens with texts and times."""

from collections.abc import Mapping

import numpy as np

from asr_service.engines.base import Recognition, Token
from asr_service.engines.ort.stages import Hypotheses, Integers


def recognitions(found: Hypotheses, texts: Mapping[int, bytes], frame_seconds: float) -> list[Recognition]:
    """One for each row. `frame_seconds`: how far encoder frames lie apart."""
    rows = zip(
        *(part.tolist() for part in (found.counts, found.tokens, found.log_probs)),
        _seconds(found.frames, frame_seconds),
        _durations(found, frame_seconds),
        strict=True,
    )
    return [
        Recognition(
            tuple(
                Token(texts[token], start, duration, log_prob)
                for token, log_prob, start, duration in zip(*(part[:count] for part in parts), strict=True)
                if texts[token]
            )
        )
        for count, *parts in rows
    ]


def _durations(found: Hypotheses, frame_seconds: float) -> list[list[float]] | list[list[None]]:
    if found.durations is None:
        return [[None] * found.tokens.shape[1]] * len(found.counts)
    return _seconds(found.durations, frame_seconds)


def _seconds(frames: Integers, frame_seconds: float) -> list[list[float]]:
    """In single precision, as sherpa-onnx multiplies: its times and these are then the same number."""
    times: list[list[float]] = (np.float32(frame_seconds) * frames.astype(np.float32)).tolist()
    return times
