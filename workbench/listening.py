"""Batches of speech for recipes of recognisers: of real clips, or else of sound that changes as speech does."""

from functools import cache

import numpy as np

from asr_service.engines.base import Samples
from asr_service.engines.ort.speechlike import speech_like
from asr_service.engines.ort.stages import Floats, FrontEnd
from serving.times import SAMPLE_RATE
from workbench.clips import clips
from workbench.recipe import Case

_PAUSE = np.zeros(SAMPLE_RATE // 4, np.float32)
_SYNTHETIC_SECONDS = 60.0
# Samples from where one row begins to where the next does: a prime of some seconds, so that no two rows are alike.
_STRIDE = 52_009


def speech(case: Case, seed: int) -> Floats:
    """Windows of speech, [rows, samples], of so many seconds each; other ones for another seed."""
    source = _everything()
    starts = (seed * case.rows + np.arange(case.rows)) * _STRIDE
    places = starts[:, np.newaxis] + np.arange(round(case.length * SAMPLE_RATE))
    windows: Floats = source[places % len(source)]
    return windows


def features(front_end: FrontEnd, case: Case, seed: int) -> Floats:
    """Of `speech`, [rows, frames, bins]."""
    return np.stack([front_end(row) for row in speech(case, seed)])


def whole_clips(rows: int, seed: int) -> list[Samples]:
    """Clips from beginning to end, one a row, in turns; others first for another seed."""
    sounds = [clip.samples for clip in clips()] or [speech_like(10.0, seed=number) for number in range(4)]
    return [sounds[(seed * rows + row) % len(sounds)] for row in range(rows)]


def _everything() -> Samples:
    parts = [part for clip in clips() for part in (clip.samples, _PAUSE)]
    return np.concatenate(parts) if parts else _speech_like()


@cache
def _speech_like() -> Samples:
    return speech_like(_SYNTHETIC_SECONDS)
