"""NeMo's convolutional encoders with random weights: sizes, strides, and that they hear their padding."""

import pytest
import torch
from torch import Tensor

from support.networks import difference
from workbench.networks.jasper import Dimensions, Jasper
from workbench.networks.weights import seeded, settle

SMALL = {
    "jasper": Dimensions.jasper(64, repeat=2, divisor=16),
    "quartznet": Dimensions.quartznet(64, copies=1, repeat=2, divisor=16),
    "citrinet": Dimensions.citrinet(32, 40, repeat=1),
}


@pytest.fixture(scope="module")
def networks() -> dict[str, Jasper]:
    with seeded(0):
        found = {name: Jasper(dims) for name, dims in SMALL.items()}
        for network in found.values():
            settle(network, torch.randn(2, network.dims.mel_bins, 400), torch.tensor([400, 320]))
    return found


@torch.inference_mode()
def encoded(network: Jasper, features: Tensor, *lengths: int) -> list[Tensor]:
    """The frames [width, T'] of each utterance."""
    frames, counts = network(features, torch.tensor(lengths))
    return [row[:, :count] for row, count in zip(frames, counts.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("dims", "millions"),
    [
        (Dimensions.jasper(), 333),
        (Dimensions.quartznet(), 19),
        (Dimensions.citrinet(), 36),
        (Dimensions.citrinet(1024, 1024), 142),
    ],
    ids=["jasper-10x5", "quartznet-15x5", "citrinet-512", "citrinet-1024"],
)
def test_true_sizes_are_those_of_the_published_models(dims: Dimensions, millions: int) -> None:
    with torch.device("meta"):
        parameters = Jasper(dims).parameters()
    assert round(sum(parameter.numel() for parameter in parameters) / 1e6) == millions


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 203])
@pytest.mark.parametrize(("name", "stride"), [("jasper", 2), ("quartznet", 2), ("citrinet", 8)])
def test_frames_are_divided_by_the_stride_rounded_up(
    name: str, stride: int, frames: int, networks: dict[str, Jasper]
) -> None:
    network = networks[name]
    (found,) = encoded(network, torch.randn(1, network.dims.mel_bins, frames), frames)
    assert network.dims.subsampling == stride
    assert found.shape == (network.dims.width, -(-frames // stride))


@pytest.mark.parametrize("name", SMALL)
def test_the_last_frames_hear_the_padding(name: str, networks: dict[str, Jasper]) -> None:
    """Exports mask no convolution."""
    alone, padded = beside_padding(networks[name])
    assert padded.shape == alone.shape
    assert difference(padded[:, -8:], alone[:, -8:]) > 1e-3


@pytest.mark.parametrize("name", ["jasper", "quartznet"])
def test_frames_far_from_the_padding_do_not_hear_it(name: str, networks: dict[str, Jasper]) -> None:
    alone, padded = beside_padding(networks[name])
    assert difference(padded[:, :8], alone[:, :8]) < 1e-5


def test_all_of_citrinet_hears_it(networks: dict[str, Jasper]) -> None:
    """Its averages over the utterance leave padding out, but not the last frames, which heard it."""
    alone, padded = beside_padding(networks["citrinet"])
    assert 1e-5 < difference(padded[:, :8], alone[:, :8]) < 0.1


def beside_padding(network: Jasper) -> tuple[Tensor, Tensor]:
    """Frames of the same utterance alone and with two seconds behind it."""
    features = torch.randn(1, network.dims.mel_bins, 1000, generator=torch.Generator().manual_seed(1))
    padded = torch.nn.functional.pad(features, (0, 200))
    (alone,), (longer,) = encoded(network, features, 1000), encoded(network, padded, 1000)
    return alone, longer
