"""Random weights that decode like trained ones: several tokens a second, all over the vocabulary, blanks between.

Fresh weights say the same token at every frame, or nothing but blank: a network's hidden values hardly move about their
mean. So the layers before a decision are drawn for what they really receive: `spread` gives each output of a layer the
same mean and variance over given inputs, and `calibrate` does so with the layer that yields the logits, then moves
blank until greedy search emits as many tokens as wanted.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workbench.networks.threads import one_thread

Projection = nn.Linear | nn.Conv1d
"""A Conv1d of kernel 1 is a linear layer over channels."""

DEVIATION = 4.0
"""Of each logit, as far as it varies: about what leaves the best token of thousands a fair probability."""

DIRECTIONS = 64
"""How many principal directions of its inputs a layer looks at: fewer are found again in other sound, more vary more."""
_LEAST = 0.1
"""Share of the strongest direction's deviation; in weaker ones rounding would be amplified until it decides."""
_ROUNDS = 4
_BISECTIONS = 9
_FAIR = 0.35
"""Faults that are few enough."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """PyTorch's default generator starts from `seed` inside, and is as it was before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def settle(network: nn.Module, *inputs: Tensor) -> None:
    """Gives every batch normalisation the mean and variance that `inputs` have there, as training would have."""
    layers = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    usual = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    with torch.inference_mode():
        network.train()(*inputs)
    network.eval()
    for layer, momentum in zip(layers, usual, strict=True):
        layer.momentum = momentum


def spread(
    layer: Projection,
    inputs: Tensor,
    deviation: float,
    source: torch.Generator,
    directions: int = DIRECTIONS,
) -> None:
    """Draws `layer` so that each output has mean 0 and about this standard deviation over `inputs` [N, features].

    The inputs' principal directions contribute alike, so outputs are nearly independent of each other.
    """
    mean, deviations, axes = _principal(inputs, directions)
    drawn = torch.randn(len(layer.weight), len(axes), generator=source, dtype=torch.float64)
    weight = deviation * nn.functional.normalize(drawn, dim=1) / deviations @ axes
    with torch.no_grad():
        layer.weight.copy_(weight.view(layer.weight.shape))
        if layer.bias is not None:
            layer.bias.copy_(-weight @ mean)


def received(layer: nn.Module, run: Callable[[], object]) -> Tensor:
    """What `layer` is given while `run` runs, features last: [N, features]."""
    seen: list[Tensor] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        channels_last = inputs[0].transpose(1, 2) if isinstance(module, nn.Conv1d) else inputs[0]
        seen.append(channels_last.flatten(end_dim=-2))

    handle = layer.register_forward_pre_hook(note)
    try:
        run()
    finally:
        handle.remove()
    return torch.cat(seen)


@one_thread()
def calibrate(
    output: Projection,
    blank: int,
    decode: Callable[[], Sequence[Sequence[int]]],
    wanted: float,
    source: torch.Generator,
    directions: int = DIRECTIONS,
) -> None:
    """Draws the layer that yields the logits so that `decode` gives about `wanted` tokens an utterance, and varied ones.

    `decode` runs greedy search over some utterances of equal length through `output`, which must have a bias, and
    returns their tokens. Rows of `output` beyond the tokens, TDT's durations, are drawn like the others.
    """
    best, least = (output.weight, _bias(output)), math.inf
    for _ in range(_ROUNDS):
        # What the joiner receives depends on the tokens before, so on its own weights.
        inputs = received(output, decode)
        spread(output, inputs, DEVIATION, source, directions)
        _follow(output, blank, inputs, directions)
        found = _balance(output, blank, decode, wanted)
        if found < least:
            best, least = (output.weight.detach().clone(), _bias(output).clone()), found
        if least < _FAIR:
            break
    with torch.no_grad():
        for parameter, value in zip((output.weight, _bias(output)), best, strict=True):
            parameter.copy_(value)


def faults(hypotheses: Sequence[Sequence[int]], wanted: float) -> float:
    """How far lengths are from `wanted`, each in logarithm, plus the share of tokens that repeat the one before."""
    lengths = sum(abs(math.log((len(tokens) + 1) / (wanted + 1))) for tokens in hypotheses) / len(hypotheses)
    pairs = [pair for tokens in hypotheses for pair in itertools.pairwise(tokens)]
    return lengths + sum(before == after for before, after in pairs) / max(len(pairs), 1)


def _follow(output: Projection, blank: int, inputs: Tensor, directions: int) -> None:
    """Lets blank's logit be the linear fit of the best other one.

    Else every token of the vocabulary would beat blank where the inputs are large, and none elsewhere: long runs of
    tokens at one frame, then silence.
    """
    with torch.no_grad():
        logits = torch.nn.functional.linear(inputs, output.weight.flatten(start_dim=1), output.bias)
        others = logits.index_fill(1, torch.tensor([blank], device=logits.device), -torch.inf)
        best = others.amax(dim=1).double().cpu()
        mean, deviations, axes = _principal(inputs, directions)
        slopes = (inputs.double().cpu() - mean) @ axes.T / deviations
        weight = (slopes.T @ (best - best.mean()) / len(best) / deviations) @ axes
        output.weight[blank] = weight.view(output.weight[blank].shape).to(output.weight)
        _bias(output)[blank] = best.mean() - weight @ mean


def _balance(
    output: Projection, blank: int, decode: Callable[[], Sequence[Sequence[int]]], wanted: float
) -> float:
    """Bisects blank's bias and keeps the best: tokens do not fall steadily with it, since each changes what follows."""
    bias = _bias(output)
    start, low, high = bias[blank].item(), -4 * DEVIATION, 4 * DEVIATION
    tried: dict[float, float] = {}
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        bias[blank] = start + middle
        hypotheses = decode()
        tried[middle] = faults(hypotheses, wanted)
        emitted = sum(map(len, hypotheses))
        if tried[middle] < _FAIR:
            break
        low, high = (middle, high) if emitted > wanted * len(hypotheses) else (low, middle)
    best = min(tried, key=tried.__getitem__)
    bias[blank] = start + best
    return tried[best]


def _bias(layer: Projection) -> Tensor:
    """Detached, so that its numbers can be set."""
    if layer.bias is None:
        raise ValueError("a layer that yields logits needs a bias")
    return layer.bias.detach()


def _principal(inputs: Tensor, directions: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [features] of [N, features], and standard deviations [K] along principal axes [K, features], largest first."""
    inputs = inputs.double().cpu()
    mean = inputs.mean(dim=0)
    _, spreads, axes = torch.linalg.svd(inputs - mean, full_matrices=False)
    deviations = spreads / len(inputs) ** 0.5
    kept = int((deviations >= _LEAST * deviations[0]).sum().clamp(max=directions))
    return mean, deviations[:kept], axes[:kept]
