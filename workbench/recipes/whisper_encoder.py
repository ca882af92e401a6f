"""Whisper's encoder, of 30 s at a time, with the keys and values that its decoder makes of them."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asr_service.engines.ort.features import OpenAiWhisperFeatures
from asr_service.engines.ort.profiles import Range
from serving.errors import ModelUnavailable
from serving.models.store import ModelStore
from workbench.clips import clips
from workbench.listening import whole_clips
from workbench.recipe import Arrays, Case, Profile, Recipe, Size, Walk
from workbench.token_judge import Search, TokenJudge

if TYPE_CHECKING:
    from serving.models.conversion.whisper_network import Encoder

MODEL = "whisper-tiny.en-fp32"
_WINDOW = 30.0
_WINDOWS = Range(_WINDOW, _WINDOW, _WINDOW)
_LEAST_AGREEMENT = 0.95
_PROFILES: Mapping[Size, Profile] = {
    "full": Profile(Range(1, 8, 64), _WINDOWS),
    "tiny": Profile(Range(1, 2, 3), _WINDOWS),
}
_WALKS: Mapping[Size, Walk] = {
    "full": Walk((1, 2, 4, 8, 16, 32, 64), (_WINDOW,)),
    "tiny": Walk((1, 2), (_WINDOW,)),
}


def recipe(size: Size) -> Recipe:
    trained = _trained() if size == "full" else None
    return Recipe(
        name="whisper-encoder",
        summary=_summary(size, trained),
        # A copy, since runtimes change the precision and the device of what they are given.
        network=lambda: deepcopy(_encoder(size, trained)),
        inputs={"mel": {0: "N"}},
        outputs={"n_layer_cross_k": {1: "N"}, "n_layer_cross_v": {1: "N"}},
        sample=_sample,
        seconds=float,
        unit="s",
        profile=_PROFILES[size],
        walk=_WALKS[size],
        # Of random weights, the decoder would say nothing that could be compared.
        judge=TokenJudge(lambda: _search(trained), _LEAST_AGREEMENT, _texts) if trained else None,
    )


def _trained() -> Path | None:
    """The folder of the model, where it has been pulled."""
    try:
        return ModelStore().path(MODEL)
    except ModelUnavailable:
        return None


def _summary(size: Size, trained: Path | None) -> str:
    parameters = "9 M" if size == "full" else "0.2 M"
    weights = "OpenAI's weights of tiny.en" if trained else "random weights"
    return f"Whisper's encoder and its keys and values for the decoder, {parameters} parameters, {weights}"


@cache
def _encoder(size: Size, trained: Path | None) -> "Encoder":
    from workbench.whisper_weights import SMALLER, TINY_EN, random_encoder, trained_encoder  # noqa: PLC0415 - with PyTorch

    if trained:
        return trained_encoder(trained / "encoder.onnx")
    return random_encoder({"full": TINY_EN, "tiny": SMALLER}[size])


@cache
def _search(trained: Path) -> Search:
    from workbench.whisper_search import DecoderSearch  # noqa: PLC0415 - with ONNX Runtime

    return DecoderSearch(trained)


def _sample(case: Case, seed: int) -> Arrays:
    front_end = OpenAiWhisperFeatures()
    return {"mel": np.stack([front_end(samples).T for samples in whole_clips(case.rows, seed)])}


def _texts(inputs: Arrays) -> Sequence[str]:
    """What is said in each row: known by its features, of which there are the same for the same clip."""
    front_end = OpenAiWhisperFeatures()
    known = {front_end(clip.samples).T.tobytes(): clip.text for clip in clips()}
    return [known.get(row.tobytes(), "") for row in inputs["mel"]]
