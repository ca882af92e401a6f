"""NeMo's FastConformer with random weights: its sizes, its export, and what padding does to it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from support.networks import difference, run
from workbench.networks.fastconformer import LARGE, PARAKEET_0_6B, TINY, Dimensions, FastConformer, export
from workbench.networks.relative_attention import Kernel
from workbench.networks.weights import seeded, settle


@pytest.fixture(scope="module")
def network() -> FastConformer:
    with seeded(0):
        network = FastConformer(TINY)
        settle(network, noise(300), torch.tensor([300]))
    return network


@pytest.fixture(scope="module")
def exported(network: FastConformer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fastconformer") / "encoder.onnx"
    export(network, path, {"vocab_size": 500})
    return path


def noise(*frames: int, seed: int = 0) -> Tensor:
    """Normalised features [B, mel, T], padded with zeros as NeMo pads."""
    source = torch.Generator().manual_seed(seed)
    batch = torch.zeros(len(frames), TINY.mel_bins, max(frames))
    for row, count in zip(batch, frames, strict=True):
        row[:, :count] = torch.randn(TINY.mel_bins, count, generator=source)
    return batch


@torch.inference_mode()
def encoded(network: FastConformer, features: Tensor, *lengths: int) -> list[Tensor]:
    """The frames [width, T'] of each utterance."""
    frames, counts = network(features, torch.tensor(lengths))
    return [row[:, :count] for row, count in zip(frames, counts.tolist(), strict=True)]


@pytest.mark.parametrize(("dims", "millions"), [(LARGE, 109), (PARAKEET_0_6B, 609)])
def test_true_sizes_are_those_of_the_published_models(dims: Dimensions, millions: int) -> None:
    with torch.device("meta"):
        parameters = FastConformer(dims).parameters()
    assert round(sum(parameter.numel() for parameter in parameters) / 1e6) == millions


@pytest.mark.parametrize("frames", [1, 8, 9, 200, 203])
def test_one_frame_of_eight_is_left_rounded_up(frames: int, network: FastConformer) -> None:
    (found,) = encoded(network, noise(frames), frames)
    assert found.shape == (TINY.width, -(-frames // 8))


@pytest.mark.parametrize("frames", [1, 57, 64, 65, 150])
def test_an_utterance_does_not_hear_what_it_is_padded_with(frames: int, network: FastConformer) -> None:
    features = noise(frames, 301)
    (alone,) = encoded(network, features[:1, :, :frames], frames)
    beside, _ = encoded(network, features, frames, 301)
    features[0, :, frames:] = 9
    behind_noise, _ = encoded(network, features, frames, 301)
    assert difference(beside, alone) < 1e-5
    assert torch.equal(behind_noise, beside)


@pytest.mark.parametrize("lengths", [(1,), (64,), (203, 57, 121), (8000,)])
def test_the_export_gives_what_the_network_gives(
    lengths: tuple[int, ...], network: FastConformer, exported: Path
) -> None:
    """80 s among them, which NeMo's table of positions must reach."""
    features = noise(*lengths)
    found, counts = run(exported, audio_signal=features, length=torch.tensor(lengths))
    expected = encoded(network, features, *lengths)
    assert counts.tolist() == [frames.shape[1] for frames in expected]
    for row, frames in zip(found, expected, strict=True):
        assert difference(row[:, : frames.shape[1]], frames) < 1e-4


def test_fused_attention_gives_what_the_written_out_one_gives(network: FastConformer) -> None:
    fused = FastConformer(TINY, attention="sdpa").eval()
    fused.load_state_dict(network.state_dict())
    features, lengths = noise(203, 121), (203, 121)
    for found, expected in zip(
        encoded(fused, features, *lengths), encoded(network, features, *lengths), strict=True
    ):
        assert difference(found, expected) < 1e-4


@pytest.mark.parametrize("attention", ["explicit", "sdpa"])
def test_half_precision_hardly_changes_it(attention: Kernel, network: FastConformer) -> None:
    half = FastConformer(TINY, attention=attention).eval()
    half.load_state_dict(network.state_dict())
    (found,) = encoded(half.half(), noise(200).half(), 200)
    (expected,) = encoded(network, noise(200), 200)
    assert found.dtype == torch.float16
    assert difference(found, expected) < 0.02
