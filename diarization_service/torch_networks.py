"""`Networks` on torch. Runs in a worker process, where torch may be imported."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from diarization_service.config import WorkerConfig
from diarization_service.devices import device_named, failures_named, provider
from diarization_service.networks import load_network
from diarization_service.stages import Activity, Block, Floats, Geometry
from serving import logs
from serving.cores import cores
from serving.times import SAMPLE_RATE

# isort: split
from pyannote.audio import Model

from diarization_service.embedding import Embedding
from diarization_service.segmentation import Segmentation

STEP_SHARE = 0.1
"""Of a window, from its start to the next one's."""

_log = logs.get_logger(__name__)


class TorchNetworks:
    """Exact: an embedding's features and frames are those of its window alone."""

    block_windows = 1

    def __init__(
        self, segmentation: Model, embedding: Model, device: torch.device, config: WorkerConfig
    ) -> None:
        self.device = device
        self._segmentation = Segmentation(segmentation).to(device)
        self._embedding = Embedding(embedding).to(device)
        self.geometry = _geometry(segmentation, self._embedding)
        segmentation_batch, embedding_batch = (256, 32) if device.type == "cuda" else (8, 1)
        self.segmentation_batch = config.segmentation_batch_size or segmentation_batch
        self.embedding_batch = config.embedding_batch_size or embedding_batch

    @torch.inference_mode()
    def segment(self, windows: Floats) -> Activity:
        """Who is heard in windows of shape (windows, samples): (windows, frames, speakers). Raises MachineFailed."""
        with failures_named():
            activity: Activity = self._segmentation(self._there(windows)).cpu().numpy()
        return activity

    @torch.inference_mode()
    def embed(self, blocks: list[Block]) -> list[Floats]:
        """For each block an array of shape (its windows, speakers, dimension); NaN where a mask is empty. Raises MachineFailed."""
        windows = self._there(np.stack([block.samples for block in blocks]))
        masks = self._there(np.concatenate([block.masks for block in blocks]))
        with failures_named():
            embeddings = self._embedding(windows, masks).cpu().numpy()
        return list(embeddings[:, None])

    def warm_up(self) -> None:
        """Run both networks once, so that the first recording does not pay for it."""
        geometry = self.geometry
        self.segment(np.zeros((self.segmentation_batch, geometry.window), np.float32))
        masks = np.ones((1, geometry.speakers, geometry.frames), np.float32)
        silence = Block(np.zeros(geometry.window, np.float32), (0,), masks)
        self.embed([silence] * self.embedding_batch)

    def _there(self, array: Floats) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def load_networks(config: WorkerConfig) -> TorchNetworks:
    """Both networks on the configured device, not warmed yet. Raises ModelUnavailable, InvalidConfig (no such device)."""
    # By itself torch heeds the CPUs that it may run on, not a share of their time.
    torch.set_num_threads(config.threads or min(torch.get_num_threads(), cores()))
    device = device_named(config.device)
    networks = TorchNetworks(
        load_network(Path(config.segmentation)), load_network(Path(config.embedding)), device, config
    )
    _log.info(
        "networks loaded",
        device=provider(device),
        asked_for=config.device,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        segmentation_batch=networks.segmentation_batch,
        embedding_batch=networks.embedding_batch,
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
