"""NeMo's FastConformer-CTC large, from samples to tokens: preprocessing, model and CTC decoding in one graph."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from asr_service.engines.ort.features.spectrum import STEP
from asr_service.engines.ort.profiles import Range
from workbench.ctc_search import Collapsed, word_pieces
from workbench.listening import speech
from workbench.recipe import Arrays, Case, Profile, Recipe, Size, Walk
from workbench.token_judge import AGREEMENT_OF_RANDOM_WEIGHTS, TokenJudge

if TYPE_CHECKING:
    from workbench.networks.nemo_pipeline import Pipeline

TOKENS = 1024
"""Blank is one more class."""

_PROFILES: Mapping[Size, Profile] = {
    "full": Profile(Range(1, 16, 64), Range(1.0, 10.0, 20.0)),
    "tiny": Profile(Range(1, 2, 4), Range(0.5, 1.0, 2.0)),
}
_WALKS: Mapping[Size, Walk] = {
    "full": Walk((1, 4, 16, 64), (5.0, 10.0, 20.0)),
    "tiny": Walk((1, 4), (1.0, 2.0)),
}


def recipe(size: Size) -> Recipe:
    parameters = "109 M" if size == "full" else "0.3 M"
    model = cache(partial(_pipeline, size))
    return Recipe(
        name="fastconformer-ctc",
        summary=f"NeMo's FastConformer-CTC from samples to tokens, {parameters} parameters, random weights",
        # A copy, since runtimes change the precision and the device of what they are given.
        network=lambda: deepcopy(model()),
        inputs={"audio_signal": {0: "batch", 1: "samples"}, "length": {0: "batch"}},
        outputs={"tokens": {0: "batch", 1: "frames"}, "log_probs": {0: "batch", 1: "frames"}},
        sample=_sample,
        seconds=float,
        unit="s",
        profile=_PROFILES[size],
        walk=_WALKS[size],
        judge=TokenJudge(lambda: Collapsed("tokens", word_pieces(TOKENS)), AGREEMENT_OF_RANDOM_WEIGHTS),
    )


def _pipeline(size: Size) -> "Pipeline":
    from workbench.networks import fastconformer, nemo_models  # noqa: PLC0415 - with PyTorch
    from workbench.networks.nemo_pipeline import Pipeline  # noqa: PLC0415
    from workbench.networks.threads import repeatable  # noqa: PLC0415

    dims = {"full": fastconformer.LARGE, "tiny": fastconformer.TINY}[size]
    with repeatable(size):
        return Pipeline(nemo_models.ctc(partial(fastconformer.FastConformer, dims), TOKENS)).eval()


def _sample(case: Case, seed: int) -> Arrays:
    samples = speech(case, seed)
    steps = samples.shape[1] // STEP * STEP
    return {"audio_signal": samples[:, :steps], "length": np.full(case.rows, steps, np.int64)}
