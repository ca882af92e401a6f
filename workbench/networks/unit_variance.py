"""Layers whose outputs move about zero, and all as far: Mishkin and Matas 2015, "All you need is a good init"."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def standardize(network: nn.Module, run: Callable[[], object]) -> None:
    """Scales and shifts the linear and convolution layers of `network` while `run` calls it once.

    Over what it was called with, each channel that they give then has mean 0 and variance 1. As they are drawn, what they
    give is mostly the same at every frame: after a few of them speech hardly shows.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)]
    handles = [layer.register_forward_hook(_fit) for layer in layers]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()


def _fit(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:  # noqa: ARG001 - the hook's signature
    if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) or layer.bias is None:
        raise TypeError("only linear and convolution layers with biases can be shifted")
    channels = -1 if isinstance(layer, nn.Linear) else 1
    by_channel = output.transpose(channels, -1).flatten(end_dim=-2)
    deviation, mean = torch.std_mean(by_channel, dim=0)
    layer.weight.div_(deviation.view(-1, *[1] * (layer.weight.ndim - 1)))
    layer.bias.sub_(mean).div_(deviation)
    return ((by_channel - mean) / deviation).view_as(output.transpose(channels, -1)).transpose(channels, -1)
