"""The embedding network up to its frames: WeSpeaker's ResNet34, arranged for inference.

Batch norms scale and shift what the convolution before them made by constants, so they are folded into it. Reference: Zeinali
et al., "BUT system description to VoxCeleb Speaker Recognition Challenge 2019"; pyannote.audio.models.embedding.wespeaker.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Residual(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.first: nn.Conv2d = fuse_conv_bn_eval(block.conv1, block.bn1)
        self.second: nn.Conv2d = fuse_conv_bn_eval(block.conv2, block.bn2)
        self.shortcut: nn.Module = (
            fuse_conv_bn_eval(*block.shortcut) if len(block.shortcut) else nn.Identity()
        )

    def forward(self, inputs: Tensor) -> Tensor:
        around = self.shortcut(inputs)
        return rectified(self.second, rectified(self.first, inputs), around)


class Trunk(nn.Module):
    """Features (batch, mels, frames) to (batch, dimension, frames / 8)."""

    def __init__(self, resnet: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.first: nn.Conv2d = fuse_conv_bn_eval(resnet.conv1, resnet.bn1)
        layers = (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4)
        self.blocks = nn.Sequential(*(Residual(block) for layer in layers for block in layer))
        self.to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: Tensor) -> Tensor:
        images = features[:, None].to(self.first.weight.dtype, memory_format=torch.channels_last)
        frames: Tensor = self.blocks(rectified(self.first, images))
        return frames.flatten(1, 2)


def rectified(conv: Any, inputs: Tensor, added: Tensor | None = None) -> Tensor:
    """A convolution, the sum with `added`, and what of it is positive; on GPUs in one go, which halves the trunk's time."""
    if not inputs.is_cuda:
        outputs: Tensor = conv(inputs)
        return outputs.relu_() if added is None else outputs.add_(added).relu_()
    shape = conv.stride, conv.padding, conv.dilation, conv.groups
    if added is None:
        return torch.cudnn_convolution_relu(inputs, conv.weight, conv.bias, *shape)
    return torch.cudnn_convolution_add_relu(inputs, conv.weight, added, 1.0, conv.bias, *shape)
