"""`Networks` on torch. Runs in a worker process, where torch may be imported."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diarization_service.config import WorkerConfig
from diarization_service.devices import device_named, failures_named, provider
from diarization_service.embedding import Embedding
from diarization_service.networks import load_network
from diarization_service.segmentation import Segmentation
from diarization_service.settings import Settings
from diarization_service.sharing import shared
from diarization_service.spreading import Cores, Gpu, Piece, Spread
from diarization_service.stages import Activity, Block, Floats, Geometry
from serving import logs
from serving.times import SAMPLE_RATE

STEP_SHARE = 0.1
"""Of a window, from its start to the next one's."""

_log = logs.get_logger(__name__)


class TorchNetworks:
    """Both networks on one device."""

    def __init__(self, segmentation: Any, embedding: Any, device: torch.device, settings: Settings) -> None:
        """From pyannote.audio's `PyanNet` and `WeSpeakerResNet34`."""
        self.device = device
        self.settings = settings
        self._segmentation = Segmentation(segmentation).to(device)
        self._embedding = Embedding(embedding, settings.dtype).to(device)
        self.geometry = _geometry(segmentation, self._embedding)
        self._spread: Spread = Cores(settings.threads) if device.type == "cpu" else Gpu(device)

    @property
    def block_windows(self) -> int:
        return self.settings.block_windows

    @property
    def segmentation_batch(self) -> int:
        return self.settings.segmentation_batch

    @property
    def embedding_batch(self) -> int:
        return self.settings.embedding_batch

    def segment(self, windows: Floats) -> Activity:
        """Who is heard in windows of shape (windows, samples): (windows, frames, speakers). Raises MachineFailed."""
        size = self.settings.segmentation_piece
        pieces = ((windows[start : start + size],) for start in range(0, len(windows), size))
        with failures_named():
            return np.concatenate(self._spread(self._segmentation, pieces))

    def embed(self, blocks: Sequence[Block]) -> list[Floats]:
        """For each block an array of shape (its windows, speakers, dimension); NaN where a mask is empty.

        Raises MachineFailed.
        """
        with failures_named():
            found = self._spread(self._embedding, self._pieces(blocks))
        embeddings = (one for piece in found for one in piece)
        return [_by_window(one, block.masks) for one, block in zip(embeddings, blocks, strict=True)]

    def warm_up(self) -> None:
        """Run both networks once, so that the first recording does not pay for it."""
        geometry = self.geometry
        self.segment(np.zeros((self.segmentation_batch, geometry.window), np.float32))
        masks = np.ones((1, geometry.speakers, geometry.frames), np.float32)
        silence = Block(np.zeros(geometry.window, np.float32), (0,), masks)
        self.embed([silence] * self.embedding_batch)

    def _pieces(self, blocks: Sequence[Block]) -> Iterator[Piece]:
        """Neighbours of one shape together, as many as a piece takes."""
        made = (shared(block, self.settings.stride, self.geometry.window) for block in blocks)
        for _, group in groupby(made, key=lambda one: one[1].shape):
            alike = list(group)
            for start in range(0, len(alike), self.settings.embedding_piece):
                samples, weights = zip(*alike[start : start + self.settings.embedding_piece], strict=True)
                windows = np.stack([window for one in samples for window in one])
                yield (
                    windows.reshape(len(samples), -1, self.geometry.window),
                    np.stack([_flat(one) for one in weights]),
                )


def load_networks(config: WorkerConfig) -> TorchNetworks:
    """Both networks on the configured device, not warmed yet. Raises ModelUnavailable, InvalidConfig (no such device)."""
    device = device_named(config.device)
    settings = Settings.of(config, device)
    # By themselves cuDNN's convolutions round to TF32, and matrix products do not.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = settings.precision == "tf32"
    networks = TorchNetworks(
        load_network(Path(config.segmentation)), load_network(Path(config.embedding)), device, settings
    )
    _log.info(
        "networks loaded",
        device=provider(device),
        asked_for=config.device,
        torch=torch.__version__,
        mode=settings.mode,
        precision=settings.precision,
        threads=settings.threads,
        segmentation_batch=settings.segmentation_batch,
        embedding_batch=settings.embedding_batch,
    )
    return networks


def _geometry(segmentation: Any, embedding: Embedding) -> Geometry:
    specifications, field = segmentation.specifications, segmentation.receptive_field
    window = round(specifications.duration * SAMPLE_RATE)
    return Geometry(
        window=window,
        step=round(STEP_SHARE * window),
        frames=segmentation.num_frames(window),
        speakers=len(specifications.classes),
        dimension=embedding.dimension,
        frame_duration=field.duration,
        frame_step=field.step,
        least_samples=embedding.least_samples,
    )


def _flat(weights: Floats) -> Floats:
    """(windows, speakers, anchors, frames) as the network takes it, (windows · speakers, anchors · frames)."""
    windows, speakers, anchors, frames = weights.shape
    return weights.reshape(windows * speakers, anchors * frames)


def _by_window(embeddings: Floats, masks: Floats) -> Floats:
    """(windows · speakers, dimension) as (windows, speakers, dimension), NaN where the mask is empty."""
    windows, speakers, _ = masks.shape
    found = embeddings.reshape(windows, speakers, -1)
    return np.where(masks.any(axis=2, keepdims=True), found, np.float32(np.nan))
