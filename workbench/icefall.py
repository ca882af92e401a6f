"""What the recipes of icefall's transducer encoders have in common."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from asr_service.engines.ort.features import KaldiFeatures
from asr_service.engines.ort.profiles import Range
from workbench.listening import features
from workbench.recipe import Arrays, Case, Profile, Recipe, Size, Walk
from workbench.token_judge import AGREEMENT_OF_RANDOM_WEIGHTS, Search, TokenJudge

if TYPE_CHECKING:
    from workbench.networks.stateless import Transducer

_PROFILES: Mapping[Size, Profile] = {
    "full": Profile(Range(1, 32, 128), Range(1.0, 10.0, 20.0)),
    "tiny": Profile(Range(1, 2, 4), Range(0.5, 1.0, 2.0)),
}
_WALKS: Mapping[Size, Walk] = {
    "full": Walk((1, 2, 4, 8, 16, 32, 64, 128), (5.0, 10.0, 20.0)),
    "tiny": Walk((1, 4), (1.0, 2.0)),
}


def encoder_recipe(name: str, summary: str, size: Size, transducer: Callable[[], "Transducer"]) -> Recipe:
    """Of the encoder with its projection, as icefall exports them. `transducer` is called once, when it is needed."""
    model = cache(transducer)

    @cache
    def search() -> Search:
        from workbench.transducer_search import IcefallSearch  # noqa: PLC0415 - with PyTorch

        return IcefallSearch(model())

    return Recipe(
        name=name,
        summary=summary,
        # A copy, since runtimes change the precision and the device of what they are given.
        network=lambda: deepcopy(model().encoder),
        inputs={"x": {0: "N", 1: "T"}, "x_lens": {0: "N"}},
        outputs={"encoder_out": {0: "N", 1: "frames"}, "encoder_out_lens": {0: "N"}},
        sample=_sample,
        seconds=float,
        unit="s",
        profile=_PROFILES[size],
        walk=_WALKS[size],
        judge=TokenJudge(search, AGREEMENT_OF_RANDOM_WEIGHTS),
    )


def _sample(case: Case, seed: int) -> Arrays:
    x = features(KaldiFeatures(), case, seed)
    return {"x": x, "x_lens": np.full(len(x), x.shape[1], np.int64)}
