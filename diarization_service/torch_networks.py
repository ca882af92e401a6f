"""`Networks` on torch. Runs in a worker process, where torch may be imported."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diarization_service.config import WorkerConfig
from diarization_service.devices import device_named, failures_named, provider
from diarization_service.embedding import Embedding
from diarization_service.networks import load_network
from diarization_service.pieces import Shape, without_filling
from diarization_service.segmentation import Segmentation
from diarization_service.settings import Settings
from diarization_service.sharing import by_itself, shared
from diarization_service.spreading import Cores, Gpu, Piece, Spread
from diarization_service.stages import Activity, Block, Floats, Geometry, Windows, joined
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
        window = round(segmentation.specifications.duration * SAMPLE_RATE)
        self._segmentation = Segmentation(segmentation, settings.recurrent_dtype).to(device)
        self._embedding = Embedding(embedding, window, settings.dtype).to(device)
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

    def segment(self, windows: Windows) -> Activity:
        """Who is heard in each window, shape (windows, frames, speakers). Raises MachineFailed."""
        shape = self._shape(self.settings.segmentation_piece)
        parts = list(shape.parts(windows))
        pieces = (shape.piece(windows, part) for part in parts)
        with failures_named():
            return np.concatenate(without_filling(self._spread(self._segmentation, pieces), parts))

    def embed(self, blocks: Sequence[Block]) -> list[Floats]:
        """For each block an array of shape (its windows, speakers, dimension); NaN where a mask is empty.

        Raises MachineFailed.
        """
        with failures_named():
            found = self._shared(blocks) if self.settings.stride > 1 else self._by_themselves(blocks)
        embeddings = (one for piece in found for one in piece)
        return [_by_window(one, block.masks) for one, block in zip(embeddings, blocks, strict=True)]

    def warm_up(self) -> None:
        """Run both networks once, so that the first recording does not pay for it."""
        geometry = self.geometry
        silence = np.zeros(geometry.window, np.float32)
        self.segment(Windows(silence, (0,) * self.segmentation_batch))
        masks = np.ones((1, geometry.speakers, geometry.frames), np.float32)
        self.embed([Block(silence, (0,), masks)] * self.embedding_batch)

    def _by_themselves(self, blocks: Sequence[Block]) -> list[Floats]:
        """Of blocks of one window, several at once."""
        shape, windows = self._shape(self.settings.embedding_piece), joined(blocks)
        parts = list(shape.parts(windows))

        def piece(part: slice) -> Piece:
            samples, starts = shape.piece(windows, part)
            masks = np.concatenate([block.masks for block in blocks[part]])
            return samples, starts[:, None], shape.filled(by_itself(masks, self.geometry.window))

        return without_filling(self._spread(self._embedding, map(piece, parts)), parts)

    def _shared(self, blocks: Sequence[Block]) -> list[Floats]:
        """Of blocks of several windows, one by one."""

        def piece(block: Block) -> Piece:
            anchors, weights = shared(block, self.settings.stride, self.geometry.window)
            # Its neighbours' audio is left to them.
            own = block.part(slice(None), self.geometry.window)
            return own.samples, (anchors - block.starts[0])[None], _flat(weights)[None]

        return self._spread(self._embedding, map(piece, blocks))

    def _shape(self, windows: int) -> Shape:
        geometry = self.geometry
        # Room for windows of several recordings, which have nothing in common.
        reach = geometry.window + 2 * windows * geometry.step if self.settings.whole_pieces else None
        return Shape(windows, geometry.window, reach)


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
