"""Random weights that decode like trained ones: how they are drawn."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from workbench.networks import weights
from workbench.networks.greedy import collapsed
from workbench.networks.listening import babble, log_mel, normalized

BLANK = 50
WANTED = 40.0


@pytest.fixture
def source() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def hidden() -> Tensor:
    """[4, 100, 32]: values of a network whose units hardly move about their means, and not independently."""
    source = torch.Generator().manual_seed(1)
    moves = torch.randn(4, 100, 32, generator=source) @ torch.randn(32, 32, generator=source)
    return 5 + 0.01 * moves


def searching(output: nn.Linear) -> Callable[[], list[list[int]]]:
    lengths = torch.full((4,), 100)
    return lambda: collapsed(output(hidden()), lengths, BLANK)


def test_fresh_weights_do_not_decode_like_trained_ones() -> None:
    with weights.seeded(0):
        hypotheses = searching(nn.Linear(32, BLANK + 1))()
    assert weights.faults(hypotheses, WANTED) > 2


def test_calibrated_weights_emit_as_many_tokens_as_wanted_and_varied_ones(source: torch.Generator) -> None:
    output = nn.Linear(32, BLANK + 1)
    weights.calibrate(output, BLANK, searching(output), WANTED, source)
    hypotheses = searching(output)()
    assert all(0.7 * WANTED < len(tokens) < 1.4 * WANTED for tokens in hypotheses)
    assert len({token for tokens in hypotheses for token in tokens}) > 30


def test_rounding_does_not_change_what_they_say(source: torch.Generator) -> None:
    output = nn.Linear(32, BLANK + 1)
    weights.calibrate(output, BLANK, searching(output), WANTED, source)
    found = searching(output)()
    with torch.no_grad():
        output.weight *= 1 + 1e-6 * torch.randn(output.weight.shape, generator=source)
    assert searching(output)() == found


def test_a_spread_layer_moves_as_much_as_wanted_about_zero(source: torch.Generator) -> None:
    layer, inputs = nn.Linear(32, 200), hidden().flatten(end_dim=1)
    weights.spread(layer, inputs, 3.0, source)
    outputs = layer(inputs).detach()
    assert outputs.mean(dim=0).abs().max() < 1e-2
    assert outputs.std(dim=0).mean() == pytest.approx(3.0, rel=0.02)


def test_settled_normalisations_give_zero_mean_and_unit_variance() -> None:
    network = nn.Sequential(nn.Conv1d(3, 8, 5), nn.BatchNorm1d(8))
    inputs = 7 + torch.randn(4, 3, 200)
    weights.settle(network, inputs)
    outputs = network(inputs).detach()
    assert outputs.mean() == pytest.approx(0, abs=1e-4)
    assert outputs.std() == pytest.approx(1, rel=1e-2)
    assert not network.training


def test_faults_are_none_where_lengths_fit_and_nothing_repeats() -> None:
    assert weights.faults([[1, 2], [2, 1]], wanted=2) == 0
    assert weights.faults([[1, 1], [2, 1]], wanted=2) == 0.5
    assert weights.faults([[], [2, 1]], wanted=2) > 0.5


def test_babble_is_the_same_for_a_seed_and_changes_as_speech_does() -> None:
    sound = babble(3, seed=4)
    assert torch.equal(sound, babble(3, seed=4))
    assert not torch.equal(sound, babble(3, seed=5))
    assert (len(sound), sound.abs().max().item()) == (48_000, 0.5)
    features = normalized(log_mel(sound, 80))
    near = (features[:, 1:] * features[:, :-1]).mean()
    far = (features[:, 100:] * features[:, :-100]).mean()
    assert near > 0.7
    assert abs(far) < 0.5
