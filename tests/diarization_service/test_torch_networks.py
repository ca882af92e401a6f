"""Our networks against pyannote.audio's own, on real speech: the same activity, the same embeddings."""

import wave
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.deterministic.written import cut
from diarization_service.stages import Block, Floats, Windows

if TYPE_CHECKING:
    from diarization_service.torch_networks import TorchNetworks

pytestmark = pytest.mark.models

SAMPLE_RATE = 16_000


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Three of 10 s, two of which overlap; the last has zeros after the recording's end."""
    import pyannote.audio  # noqa: PLC0415  torch is slow to load, and other tests do without it

    with wave.open(str(Path(pyannote.audio.__file__).parent / "sample" / "sample.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32_768
    starts = (8 * SAMPLE_RATE, 15 * SAMPLE_RATE, 24 * SAMPLE_RATE)
    return Windows(np.pad(samples, (0, 10 * SAMPLE_RATE)), starts)


def apart(windows: Windows) -> Floats:
    """Shape (windows, samples)."""
    return np.stack(cut(windows))


@pytest.fixture(scope="module")
def pipeline() -> Any:
    import torch  # noqa: PLC0415

    from diarization_service.pipeline import build  # noqa: PLC0415

    # isort: split
    from pyannote.audio.pipelines import SpeakerDiarization  # noqa: PLC0415

    return build(_config(), torch.device("cpu"), SpeakerDiarization)


@pytest.fixture(scope="module")
def networks() -> "TorchNetworks":
    from diarization_service.torch_networks import load_networks  # noqa: PLC0415

    return load_networks(_config())


def _config(mode: str = "exact", precision: str = "auto") -> Any:
    from diarization_service.config import WorkerConfig  # noqa: PLC0415
    from serving.models import ModelStore  # noqa: PLC0415

    store = ModelStore()
    return WorkerConfig(
        segmentation=str(store.path("pyannote-segmentation-3.0")),
        embedding=str(store.path("wespeaker-resnet34")),
        device="cpu",
        mode=mode,
        precision=precision,
    )


def test_geometry_is_pyannotes(networks: "TorchNetworks", pipeline: Any) -> None:
    geometry = networks.geometry
    inference, field = pipeline._segmentation, pipeline._segmentation.model.receptive_field
    assert geometry.window == inference.duration * SAMPLE_RATE
    assert geometry.step == round(inference.step * SAMPLE_RATE)
    assert geometry.frames == inference.model.num_frames(geometry.window)
    assert (geometry.frame_duration, geometry.frame_step) == (field.duration, field.step)
    assert geometry.dimension == pipeline._embedding.dimension


@pytest.mark.filterwarnings("ignore:std()")  # pyannote tries statistics over single frames
def test_the_shortest_speech_that_is_embedded_is_pyannotes(networks: "TorchNetworks", pipeline: Any) -> None:
    assert networks.geometry.least_samples == pipeline._embedding.min_num_samples


def test_activity_is_what_pyannotes_inference_hears(
    networks: "TorchNetworks", pipeline: Any, windows: Windows
) -> None:
    import torch  # noqa: PLC0415

    expected = pipeline._segmentation.infer(torch.from_numpy(apart(windows))[:, None])
    heard = networks.segment(windows)
    assert heard.dtype == np.uint8
    np.testing.assert_array_equal(heard, expected)
    assert 0 < heard.mean() < 1


def test_embeddings_are_those_of_pyannotes_network(
    networks: "TorchNetworks", pipeline: Any, windows: Windows
) -> None:
    import torch  # noqa: PLC0415

    masks = networks.segment(windows).astype(np.float32).transpose(0, 2, 1)
    found = networks.embed(_blocks(windows, masks))
    expected = pipeline._embedding(torch.from_numpy(apart(windows))[:, None], masks=torch.from_numpy(masks))
    spoken = masks.any(axis=2)
    assert 0 < spoken.sum() < spoken.size
    ours = np.concatenate(found)
    assert np.isnan(ours[~spoken]).all()
    np.testing.assert_allclose(ours[spoken], expected[spoken], atol=1e-4)


def test_few_frames_are_enough(networks: "TorchNetworks", pipeline: Any, windows: Windows) -> None:
    """Fewer than a frame of the embedding network: pyannote then pools nothing, and has an embedding all the same."""
    import torch  # noqa: PLC0415

    masks = np.zeros((1, 3, networks.geometry.frames), np.float32)
    masks[0, 0, 1:3] = masks[0, 1, 100:104] = 1
    [found, *_] = networks.embed(_blocks(windows, np.repeat(masks, 3, axis=0)))
    expected = pipeline._embedding(
        torch.from_numpy(apart(windows)[:1])[:, None], masks=torch.from_numpy(masks)
    )
    np.testing.assert_allclose(found[0, :2], expected[0, :2], atol=1e-4)


@pytest.fixture(scope="module")
def block(pipeline: Any) -> Block:
    """Eight windows of speech with what is heard in each."""
    import pyannote.audio  # noqa: PLC0415
    import torch  # noqa: PLC0415

    with wave.open(str(Path(pyannote.audio.__file__).parent / "sample" / "sample.wav")) as file:
        file.setpos(8 * SAMPLE_RATE)
        samples = np.frombuffer(file.readframes(17 * SAMPLE_RATE), "<i2").astype(np.float32) / 32_768
    starts = tuple(window * SAMPLE_RATE for window in range(8))
    windows = torch.from_numpy(np.stack([samples[start : start + 10 * SAMPLE_RATE] for start in starts]))
    heard: Floats = pipeline._segmentation.infer(windows[:, None])
    return Block(samples, starts, heard.transpose(0, 2, 1).astype(np.float32))


def cosines(one: Floats, other: Floats) -> Floats:
    """Of the embeddings that both have."""
    spoken = ~np.isnan(one[..., 0])
    assert (spoken == ~np.isnan(other[..., 0])).all()
    one, other = one[spoken], other[spoken]
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines: Floats = (one * other).sum(axis=1) / lengths
    return cosines


def test_windows_that_share_a_trunk_sound_as_by_themselves(networks: "TorchNetworks", block: Block) -> None:
    from diarization_service.torch_networks import load_networks  # noqa: PLC0415

    sharing = load_networks(_config("fast", "fp32"))
    assert sharing.block_windows > 1
    [shared] = sharing.embed([block])
    alone = _alone(networks, block)
    # Of even windows and of odd ones, every third and the last.
    anchors = [0, 1, 6, 7]
    np.testing.assert_allclose(shared[anchors], alone[anchors], atol=1e-4)
    others = cosines(shared[2:6], alone[2:6])
    assert 0.95 < others.min() < others.max() < 1 - 1e-5


def test_embeddings_in_bf16_are_almost_those_in_fp32(networks: "TorchNetworks", block: Block) -> None:
    from diarization_service.torch_networks import load_networks  # noqa: PLC0415

    halved = load_networks(_config("exact", "bf16"))
    part = Block(block.samples, block.starts[2:4], block.masks[2:4])
    found = cosines(_alone(halved, part), _alone(networks, part))
    assert 0.999 < found.min() < found.max() < 1 - 1e-6


def _alone(networks: "TorchNetworks", block: Block) -> Floats:
    """Each of the block's windows in a block of its own."""
    return np.concatenate(networks.embed(_blocks(block, block.masks)))


def _blocks(windows: Windows, masks: Floats) -> list[Block]:
    """One for each window."""
    return [
        Block(windows.samples, (start,), mask[None])
        for start, mask in zip(windows.starts, masks, strict=True)
    ]


def test_rows_that_fill_a_piece_up_change_nothing(networks: "TorchNetworks", windows: Windows) -> None:
    """On GPUs the networks always see whole pieces."""
    import torch  # noqa: PLC0415

    from diarization_service.networks import load_network  # noqa: PLC0415
    from diarization_service.torch_networks import TorchNetworks  # noqa: PLC0415

    config = _config()
    loaded = [load_network(Path(folder)) for folder in (config.segmentation, config.embedding)]
    settings = replace(networks.settings, segmentation_piece=2, embedding_piece=2, whole_pieces=True)
    filled = TorchNetworks(*loaded, torch.device("cpu"), settings)
    activity = networks.segment(windows)
    np.testing.assert_array_equal(filled.segment(windows), activity)
    blocks = _blocks(windows, activity.astype(np.float32).transpose(0, 2, 1))
    for found, expected in zip(filled.embed(blocks), networks.embed(blocks), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
