"""CAM++ as 3D-Speaker trained it, in the ONNX layout that sherpa-onnx reads, for comparing with its diarization.

Reference: Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking",
Interspeech 2023. Modules are named as in the published checkpoint.
"""

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

_GROWTH, _BOTTLENECK, _SEGMENT = 32, 128, 100
_METADATA = {
    "framework": "3d-speaker",
    "language": "Chinese-English",
    "url": "https://github.com/modelscope/3D-Speaker",
    "comment": "CAM++",
    "sample_rate": "16000",
    "output_dim": "192",
    "normalize_samples": "1",
    "feature_normalize_type": "global-mean",
}


def export(checkpoint: Path, path: Path) -> Path:
    """Writes the checkpoint's network as ONNX: features (batch, frames, 80) to embeddings (batch, 192)."""
    network = CamPlusPlus()
    network.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
    torch.onnx.export(
        network.eval(),
        (torch.zeros(1, 345, 80),),
        str(path),
        input_names=["x"],
        output_names=["embedding"],
        dynamic_axes={"x": {0: "N", 1: "T"}, "embedding": {0: "N"}},
        opset_version=13,
        dynamo=False,
    )
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, _METADATA)
    onnx.save(model, str(path))
    return path


class CamPlusPlus(nn.Module):
    """Features (batch, frames, 80) to embeddings (batch, 192)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = Head()
        self.xvector = nn.Sequential()
        self.xvector.add_module("tdnn", Tdnn())
        width = 128
        for number, (layers, dilation) in enumerate(((12, 1), (24, 2), (16, 2)), start=1):
            self.xvector.add_module(f"block{number}", DenseBlock(layers, width, dilation))
            width += layers * _GROWTH
            self.xvector.add_module(f"transit{number}", Transit(width, width // 2))
            width //= 2
        self.xvector.add_module("out_nonlinear", clipped(width))
        self.xvector.add_module("stats", Statistics())
        self.xvector.add_module("dense", Dense(2 * width, 192))

    def forward(self, features: Tensor) -> Tensor:
        embeddings: Tensor = self.xvector(self.head(features.permute(0, 2, 1)))
        return embeddings


def clipped(width: int) -> nn.Sequential:
    layers = nn.Sequential()
    layers.add_module("batchnorm", nn.BatchNorm1d(width))
    layers.add_module("relu", nn.ReLU())
    return layers


class Residual(nn.Module):
    """Two convolutions over frequency and time and a way around them."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(32, 32, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.Conv2d(32, 32, 1, stride=(stride, 1), bias=False))
            self.shortcut.append(nn.BatchNorm2d(32))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.bn1(self.conv1(inputs)))
        return torch.relu(self.bn2(self.conv2(hidden)) + self.shortcut(inputs))


class Head(nn.Module):
    """Features (batch, 80, frames) to (batch, 320, frames)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = nn.Sequential(Residual(2), Residual(1))
        self.layer2 = nn.Sequential(Residual(2), Residual(1))
        self.conv2 = nn.Conv2d(32, 32, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)

    def forward(self, features: Tensor) -> Tensor:
        hidden = torch.relu(self.bn1(self.conv1(features.unsqueeze(1))))
        hidden = self.layer2(self.layer1(hidden))
        return torch.relu(self.bn2(self.conv2(hidden))).flatten(1, 2)


class Tdnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Conv1d(320, 128, 5, stride=2, padding=2, bias=False)
        self.nonlinear = clipped(128)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.nonlinear(self.linear(inputs))
        return outputs


class ContextMask(nn.Module):
    """A convolution, each channel scaled by what the whole utterance and the second around are like."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(
            _BOTTLENECK, _GROWTH, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.linear1 = nn.Conv1d(_BOTTLENECK, _BOTTLENECK // 2, 1)
        self.linear2 = nn.Conv1d(_BOTTLENECK // 2, _GROWTH, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        around = functional.avg_pool1d(inputs, _SEGMENT, _SEGMENT, ceil_mode=True)
        around = around.unsqueeze(-1).expand(-1, -1, -1, _SEGMENT).flatten(2)[..., : inputs.shape[-1]]
        context = torch.relu(self.linear1(inputs.mean(dim=-1, keepdim=True) + around))
        outputs: Tensor = self.linear_local(inputs) * torch.sigmoid(self.linear2(context))
        return outputs


class DenseLayer(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = clipped(width)
        self.linear1 = nn.Conv1d(width, _BOTTLENECK, 1, bias=False)
        self.nonlinear2 = clipped(_BOTTLENECK)
        self.cam_layer = ContextMask(dilation)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(inputs))))
        return outputs


class DenseBlock(nn.Sequential):
    """Each layer hears what all before it made."""

    def __init__(self, layers: int, width: int, dilation: int) -> None:
        super().__init__()
        for number in range(layers):
            self.add_module(f"tdnnd{number + 1}", DenseLayer(width + number * _GROWTH, dilation))

    def forward(self, inputs: Tensor) -> Tensor:
        for layer in self:
            inputs = torch.cat([inputs, layer(inputs)], dim=1)
        return inputs


class Transit(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.nonlinear = clipped(width)
        self.linear = nn.Conv1d(width, out, 1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.linear(self.nonlinear(inputs))
        return outputs


class Statistics(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([inputs.mean(dim=-1), inputs.std(dim=-1, unbiased=True)], dim=-1)


class Dense(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(width, out, 1, bias=False)
        self.nonlinear = nn.Sequential()
        self.nonlinear.add_module("batchnorm", nn.BatchNorm1d(out, affine=False))

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.nonlinear(self.linear(inputs.unsqueeze(-1)).squeeze(-1))
        return outputs
