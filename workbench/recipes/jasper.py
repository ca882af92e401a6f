"""Jasper 10x5 with dense residuals, whose TensorRT engine NVIDIA published figures of: 2, 7 and 16.7 s on a T4."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cache, partial
from typing import TYPE_CHECKING

from asr_service.engines.ort.features import NemoFeatures
from asr_service.engines.ort.profiles import Range
from workbench.ctc_search import LETTERS, BestPath
from workbench.listening import features
from workbench.recipe import Arrays, Case, Profile, Recipe, Size, Walk
from workbench.token_judge import AGREEMENT_OF_RANDOM_WEIGHTS, TokenJudge

if TYPE_CHECKING:
    from torch import nn

_BINS = 64
_LETTERS_A_SECOND = 12.0
_PROFILES: Mapping[Size, Profile] = {
    "full": Profile(Range(1, 16, 64), Range(2.0, 7.0, 16.7)),
    "tiny": Profile(Range(1, 2, 4), Range(0.5, 1.0, 2.0)),
}
_WALKS: Mapping[Size, Walk] = {
    "full": Walk((1, 2, 4, 8, 16, 32, 64), (2.0, 7.0, 16.7)),
    "tiny": Walk((1, 4), (1.0, 2.0)),
}


def recipe(size: Size) -> Recipe:
    parameters = "333 M" if size == "full" else "0.6 M"
    model = cache(partial(_model, size))
    return Recipe(
        name="jasper",
        summary=f"Jasper 10x5 with dense residuals and its CTC head, {parameters} parameters, random weights",
        # A copy, since runtimes change the precision and the device of what they are given.
        network=lambda: deepcopy(model()),
        inputs={"audio_signal": {0: "batch", 2: "time"}},
        outputs={"logprobs": {0: "batch", 1: "frames"}},
        sample=_sample,
        seconds=float,
        unit="s",
        profile=_PROFILES[size],
        walk=_WALKS[size],
        judge=TokenJudge(lambda: BestPath("logprobs", LETTERS), AGREEMENT_OF_RANDOM_WEIGHTS),
    )


def _model(size: Size) -> "nn.Module":
    from workbench.networks import nemo_models  # noqa: PLC0415 - with PyTorch
    from workbench.networks.jasper import Dimensions, Jasper  # noqa: PLC0415
    from workbench.networks.nemo_ctc import UnmaskedCtc  # noqa: PLC0415
    from workbench.networks.threads import repeatable  # noqa: PLC0415

    dims = {"full": Dimensions.jasper(_BINS), "tiny": Dimensions.jasper(_BINS, repeat=2, divisor=16)}[size]
    with repeatable(size):
        model = nemo_models.ctc(partial(Jasper, dims), len(LETTERS), rate=_LETTERS_A_SECOND)
    return UnmaskedCtc(model).eval()


def _sample(case: Case, seed: int) -> Arrays:
    return {"audio_signal": features(NemoFeatures(_BINS), case, seed).transpose(0, 2, 1)}
