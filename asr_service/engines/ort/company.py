"""Which company an utterance may have in a batch without hearing anything of it, found out by trying.

Exports differ: recent ones of NeMo's FastConformer and icefall's Conformer mask their padding; icefall's Zipformer, NeMo's
convolutional models and older exports do not, so that the last frames of a padded utterance come out otherwise. Where
weights are quantised dynamically, one scale is found for the activations of the whole batch, and every row depends on
the others.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from asr_service.engines.base import Samples
from asr_service.engines.ort.stages import Floats

Company = Literal["any", "equal lengths", "none"]
"""What may stand beside an utterance: anything, utterances of exactly as many feature frames, or nothing."""

Encode = Callable[[Sequence[Samples]], Sequence[Floats]]
"""Encodes utterances, padded to the longest; gives what came of each, without its padding."""


def find_company(encode: Encode, sound: Samples, lengths: Sequence[int], tolerance: float) -> Company:
    """Encodes the beginnings of `sound` with these `lengths`, each alone, and then all beside each other and the whole.

    A convolution that takes every second frame hears what is behind the end of one utterance and not of the next one, so
    there should be as many lengths, a feature frame apart, as the encoder has feature frames to one of its own. Values
    that differ by less than `tolerance` times the largest are the same: kernels for one row and for several round otherwise.
    """
    utterances = [sound[:length] for length in lengths]
    alone = [encode([utterance])[0] for utterance in utterances]
    beside_another = encode([utterances[0], sound[-lengths[0] :]])[0]
    if not _is_same(alone[0], beside_another, tolerance):
        return "none"
    among_longer = encode([*utterances, sound])
    if all(_is_same(*rows, tolerance) for rows in zip(alone, among_longer, strict=False)):
        return "any"
    return "equal lengths"


def _is_same(alone: Floats, accompanied: Floats, tolerance: float) -> bool:
    if alone.shape != accompanied.shape:
        return False
    return bool(np.abs(accompanied - alone).max() <= tolerance * np.abs(alone).max())
