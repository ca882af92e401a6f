"""From token ids and encoder frames to tokens with texts and times."""

from collections.abc import Mapping

import numpy as np

from asr_service.engines.base import Recognition, Token
from asr_service.engines.ort.stages import Hypotheses, Integers


def recognitions(
    found: Hypotheses, texts: Mapping[int, bytes], frame_seconds: float | None
) -> list[Recognition]:
    """One for each row. `frame_seconds`: how far encoder frames lie apart; None where tokens get no times."""
    rows = zip(
        *(part.tolist() for part in (found.counts, found.tokens, found.log_probs)),
        _times(found, found.frames, frame_seconds),
        _times(found, found.durations, frame_seconds),
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


def _times(
    found: Hypotheses, frames: Integers | None, frame_seconds: float | None
) -> list[list[float]] | list[list[None]]:
    """In single precision, as sherpa-onnx multiplies: its times and these are then the same number."""
    if frames is None or frame_seconds is None:
        return [[None] * found.tokens.shape[1]] * len(found.counts)
    times: list[list[float]] = (np.float32(frame_seconds) * frames.astype(np.float32)).tolist()
    return times
