"""A recipe as a user writes one: a network of two layers whose every output can be worked out by hand."""

from typing import TYPE_CHECKING

import numpy as np

from asr_service.engines.ort.profiles import Range
from workbench.recipe import Arrays, Case, Profile, Recipe, Size, Verdict, Walk

if TYPE_CHECKING:
    from torch import nn

BINS = 4


def network() -> "nn.Module":
    import torch  # noqa: PLC0415 - as in every recipe: what runs engines does without

    class Toy(torch.nn.Module):
        """Features (B, T, 4), lengths (B,) → scores (B, T, 3), their best (B, T), half the lengths (B,)."""

        def __init__(self) -> None:
            super().__init__()
            self.out = torch.nn.Linear(BINS, 3)
            source = torch.Generator().manual_seed(0)
            self.out.weight = torch.nn.Parameter(torch.randn(3, BINS, generator=source))
            self.out.bias = torch.nn.Parameter(torch.randn(3, generator=source))

        def forward(self, x, lengths):
            scores = torch.tanh(self.out(x))
            return scores, scores.argmax(dim=2), torch.div(lengths, 2, rounding_mode="floor")

    return Toy()


def sample(case: Case, seed: int) -> Arrays:
    source = np.random.default_rng(seed)
    frames = round(case.length)
    features = source.normal(size=(case.rows, frames, BINS)).astype(np.float32)
    return {"x": features, "lengths": np.full(case.rows, frames, np.int64)}


def judge(_: Arrays, expected: Arrays, got: Arrays) -> list[Verdict]:
    share = float(np.mean(expected["best"] == got["best"])) if expected["best"].size else 1.0
    return [Verdict("best agree", share, 0.9, at_least=True), Verdict("frames", expected["best"].shape[1])]


def recipe(size: Size) -> Recipe:
    return Recipe(
        name="toy",
        summary="Two layers of random weights.",
        network=network,
        inputs={"x": {0: "N", 1: "T"}, "lengths": {0: "N"}},
        outputs={"out": {0: "N", 1: "T"}, "best": {0: "N", 1: "T"}, "halves": {0: "N"}},
        sample=sample,
        seconds=lambda frames: frames / 100,
        unit="frames",
        profile=Profile(Range(1, 2, 4), Range(8, 20, 40)),
        walk=Walk((1, 4), (8, 40)),
        judge=judge,
    )
