"""Parts of icefall's networks against what they are defined as."""

import math

import pytest
import torch
from torch import Tensor, nn

from workbench.networks.icefall_encoder import aligned
from workbench.networks.swoosh import BiasNorm, SwooshL, SwooshR
from workbench.networks.unit_variance import standardize
from workbench.networks.vocabulary import pieces
from workbench.networks.zipformer import CompactPositions, Downsample, widest


def test_a_pairs_score_is_its_relative_positions() -> None:
    """Columns of the input are for relative positions in order, those of the output for frames."""
    frames = 5
    positions = torch.arange(1 - frames, frames).float().expand(2, 3, frames, -1)
    found = aligned(positions)
    assert found.shape == (2, 3, frames, frames)
    for row in range(frames):
        for column in range(frames):
            assert (found[:, :, row, column] == column - row).all()


def test_compact_positions_are_finest_around_zero() -> None:
    """Cosines do not see the sign, sines do, and the last channel is a bias."""
    table = CompactPositions(channels=48, frames=2000)(1500)[0]
    assert table.shape == (2999, 48)
    before, here, after = table[1498], table[1499], table[1500]
    torch.testing.assert_close(before[0::2], after[0::2])
    torch.testing.assert_close(before[1:-1:2], -after[1:-1:2])
    assert (table[:, -1] == 1).all()
    assert (after - here).norm() > 50 * (table[-1] - table[-2]).norm()


def test_compact_positions_are_those_of_icefall() -> None:
    """At one position, by the formula of its docstring: an arc tangent of a compressed distance, times the channel."""
    distance, channels, near = 7, 48, math.sqrt(48)
    compressed = near * (math.log(distance + near) - math.log(near))
    angle = math.atan(compressed / (channels / (2 * math.pi)))
    found = CompactPositions(channels, frames=100)(10)[0, 9 + distance]
    assert found[6:8].tolist() == pytest.approx([math.cos(4 * angle), math.sin(4 * angle)], abs=1e-6)


@pytest.mark.parametrize(("frames", "expected"), [(4, [0.5, 2.5]), (5, [0.5, 2.5, 4.0]), (1, [0.0])])
def test_the_last_frame_is_repeated_where_an_average_lacks_frames(frames: int, expected: list[float]) -> None:
    x = torch.arange(frames).float().view(1, frames, 1)
    assert Downsample(2)(x).flatten().tolist() == pytest.approx(expected)


def test_the_output_has_each_channel_from_the_last_stack_that_has_it() -> None:
    widths = (2, 5, 4, 3)
    outputs = [torch.full((1, 1, width), float(number)) for number, width in enumerate(widths)]
    assert widest(outputs).flatten().tolist() == [3, 3, 3, 2, 1]


@pytest.mark.parametrize(
    ("swoosh", "offset", "subtracted"), [(SwooshL(), 4, 0.035), (SwooshR(), 1, 0.313261687)]
)
def test_swooshes_do_not_overflow(swoosh: nn.Module, offset: float, subtracted: float) -> None:
    x = torch.tensor([-1e4, -1.0, 0.0, 2.0, 1e4])
    expected = nn.functional.softplus(x.double() - offset) - 0.08 * x - subtracted
    torch.testing.assert_close(swoosh(x).double(), expected, rtol=1e-5, atol=1e-6)


def test_bias_norm_keeps_what_it_divides() -> None:
    """The bias counts for the length only."""
    norm = BiasNorm(3)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([1.0, 2.0, 2.0]))
        norm.log_scale.fill_(math.log(2))
        # Root mean square of (0, 0, 3) is the root of 3.
        torch.testing.assert_close(
            norm(torch.tensor([1.0, 2.0, 5.0])), torch.tensor([1.0, 2.0, 5.0]) * 2 / 3**0.5
        )


def test_standardized_layers_give_mean_zero_and_variance_one() -> None:
    source = torch.Generator().manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(2), nn.Linear(16, 5))
    x = 7 * torch.randn(200, 1, 9, 9, generator=source) - 20
    given: list[Tensor] = []
    standardize(layers, lambda: given.append(layers(x)))
    with torch.inference_mode():
        after_conv, after_linear = layers[0](x), layers(x)
    for output, dims in ((after_conv, (0, 2, 3)), (after_linear, (0, 1))):
        torch.testing.assert_close(output.mean(dims), torch.zeros(output.mean(dims).shape), rtol=0, atol=1e-4)
        torch.testing.assert_close(output.var(dims), torch.ones(output.mean(dims).shape), rtol=0, atol=1e-3)
    torch.testing.assert_close(given[0], after_linear, rtol=1e-3, atol=1e-4)


def test_pieces_differ_and_half_of_them_begin_words() -> None:
    found = pieces(8000)
    assert len(set(found)) == 8000
    assert sum(piece.startswith("▁") for piece in found) == 4000
