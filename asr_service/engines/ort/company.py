"""Which company an utterance may have in a batch without hearing anything of it, found out by trying.

Exports differ: recent ones of NeMo's FastConformer and icefall's Conformer mask their padding; icefall's Zipformer, NeMo's
convolutional models and older exports do not, so that the last frames of a padded utterance come out otherwise. Where
weights are quantised dynamically, one scale is found for the activations of the whole batch, and every row depends on
the others.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from asr_service.engines.ort.stages import Floats

Company = Literal["any", "equal lengths", "none"]
"""What may stand beside an utterance: anything, utterances of exactly as many feature frames, or nothing."""

_LONGER = 1.4

EncodeFirst = Callable[[Sequence[Floats]], Floats]
"""Encodes utterances' features, padded to the longest; gives what came of the first, without its padding."""


def find_company(encode: EncodeFirst, features: Floats, tolerance: float) -> Company:
    """Encodes a part of `features` alone, beside another part of its length, and beside the whole.

    Values that differ by less than `tolerance` times the largest are the same: kernels for one row and for two round
    otherwise.
    """
    frames = round(len(features) / _LONGER)
    utterance, other = features[:frames], features[-frames:]
    alone = encode([utterance])

    def is_disturbed_by(neighbour: Floats) -> bool:
        beside = encode([utterance, neighbour])
        if beside.shape != alone.shape:
            return True
        return not np.abs(beside - alone).max() <= tolerance * np.abs(alone).max()

    if is_disturbed_by(other):
        return "none"
    return "equal lengths" if is_disturbed_by(features) else "any"
