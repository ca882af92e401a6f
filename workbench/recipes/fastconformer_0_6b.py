"""The FastConformer encoder of NVIDIA's Parakeet models of 0.6 B parameters."""

from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from asr_service.engines.ort.features import NemoFeatures
from asr_service.engines.ort.profiles import Range
from workbench.listening import features
from workbench.recipe import Arrays, Case, Profile, Recipe, Size, Walk
from workbench.token_judge import AGREEMENT_OF_RANDOM_WEIGHTS, Search, TokenJudge

if TYPE_CHECKING:
    from workbench.networks.fastconformer import FastConformer

_PROFILES = {
    "full": Profile(Range(1, 8, 64), Range(1.0, 10.0, 30.0)),
    "tiny": Profile(Range(1, 2, 4), Range(0.5, 1.0, 2.0)),
}
_WALKS = {
    "full": Walk((1, 2, 4, 8, 16, 32, 64), (5.0, 10.0, 30.0)),
    "tiny": Walk((1, 4), (1.0, 2.0)),
}
_BINS = {"full": 128, "tiny": 80}
_TOKENS_A_SECOND = 3.3


def recipe(size: Size) -> Recipe:
    parameters = "609 M" if size == "full" else "0.2 M"
    return Recipe(
        name="fastconformer-0.6b",
        summary=f"Parakeet-TDT's FastConformer encoder, {parameters} parameters, random weights",
        # A copy, since runtimes change the precision and the device of what they are given.
        network=lambda: deepcopy(_encoder(size)),
        inputs={"audio_signal": {0: "N", 2: "T"}, "length": {0: "N"}},
        outputs={"outputs": {0: "N", 2: "frames"}, "encoded_lengths": {0: "N"}},
        sample=lambda case, seed: _sample(_BINS[size], case, seed),
        seconds=float,
        unit="s",
        profile=_PROFILES[size],
        walk=_WALKS[size],
        judge=TokenJudge(lambda: _search(size), AGREEMENT_OF_RANDOM_WEIGHTS),
    )


def _sample(bins: int, case: Case, seed: int) -> Arrays:
    frames = features(NemoFeatures(bins), case, seed)
    length = np.full(len(frames), frames.shape[1], np.int64)
    return {"audio_signal": np.ascontiguousarray(frames.transpose(0, 2, 1)), "length": length}


@cache
def _encoder(size: Size) -> "FastConformer":
    from workbench.networks import fastconformer, nemo_models  # noqa: PLC0415 - with PyTorch
    from workbench.networks.threads import repeatable  # noqa: PLC0415

    with repeatable(size):
        return nemo_models.transducer_encoder(
            {"full": fastconformer.PARAKEET_0_6B, "tiny": fastconformer.TINY}[size]
        )


@cache
def _search(size: Size) -> Search:
    from workbench.networks import fastconformer, nemo_models, prediction  # noqa: PLC0415 - with PyTorch
    from workbench.networks.threads import repeatable  # noqa: PLC0415
    from workbench.transducer_search import NemoSearch  # noqa: PLC0415

    encoder, decoder = {
        "full": (fastconformer.PARAKEET_0_6B, prediction.PARAKEET_TDT_0_6B_V3),
        "tiny": (
            fastconformer.TINY,
            prediction.Dimensions(tokens=200, encoder=64, width=64, layers=1, durations=5),
        ),
    }[size]
    with repeatable(size):
        model = nemo_models.transducer(encoder, decoder, rate=_TOKENS_A_SECOND)
    return NemoSearch(model, size)
