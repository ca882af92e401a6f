"""pyannote.audio's pipeline with the embedding network's trunk computed once a window instead of once a speaker.

The embedding of a speaker is pooled from frames that depend on the window alone; only the pooling's weights are the
speaker's. pyannote.audio runs the whole network for each of a window's three local speakers, here the frames are computed
once and pooled three times. Windows in which nobody speaks are not embedded at all: their embeddings reach neither
clustering nor the answer. Embeddings, and so turns, are the same.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import diarization_service.torch_compat  # noqa: F401  makes the next imports work

# isort: split
from pyannote.audio.pipelines import SpeakerDiarization
from pyannote.core import Segment, SlidingWindowFeature

Masks = npt.NDArray[np.float32]


class SharedTrunkDiarization(SpeakerDiarization):
    """Drop-in for `SpeakerDiarization`; `embedding_batch_size` counts windows."""

    def get_embeddings(
        self,
        file: dict[str, Any],
        binary_segmentations: SlidingWindowFeature,
        exclude_overlap: bool = False,
        hook: Callable[..., None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """An embedding for each speaker of each window, shape (windows, speakers, dimension); NaN where nobody speaks.

        `binary_segmentations` has shape (windows, frames, speakers).
        """
        masks = self._masks(binary_segmentations, exclude_overlap=exclude_overlap)
        window_count, speakers, _ = masks.shape
        embeddings = np.full((window_count, speakers, self._embedding.dimension), np.nan, np.float32)
        spoken = np.flatnonzero(masks.any(axis=(1, 2)))
        batches = list(_batches(spoken, self.embedding_batch_size))
        for done, batch in enumerate(batches, start=1):
            windows = [self._window(file, binary_segmentations.sliding_window[int(index)]) for index in batch]
            embeddings[batch] = self._embedding(torch.stack(windows), masks=torch.from_numpy(masks[batch]))
            if hook is not None:
                hook("embeddings", None, total=len(batches), completed=done)
        return embeddings

    def _masks(self, segmentations: SlidingWindowFeature, *, exclude_overlap: bool) -> Masks:
        """Which frames speak for whom, shape (windows, speakers, frames).

        Where asked to, those alone in which nobody else speaks, unless they are too few for an embedding.
        """
        active = segmentations.data
        if exclude_overlap:
            alone = active * (active.sum(axis=2, keepdims=True) < 2)
            enough = alone.sum(axis=1, keepdims=True) > self._fewest_frames(segmentations)
            active = np.where(enough, alone, active)
        masks: Masks = np.nan_to_num(active, nan=0.0).astype(np.float32).transpose(0, 2, 1)
        return masks

    def _fewest_frames(self, segmentations: SlidingWindowFeature) -> int:
        """Frames that an embedding takes at least."""
        frames: int = segmentations.data.shape[1]
        window_samples: float = segmentations.sliding_window.duration * self._embedding.sample_rate
        fewest_samples: int = self._embedding.min_num_samples
        return math.ceil(frames * fewest_samples / window_samples)

    def _window(self, file: dict[str, Any], span: Segment) -> torch.Tensor:
        """The window's samples, shape (1, samples), with zeros after the recording's end."""
        waveform, _ = self._audio.crop(file, span, mode="pad")
        return waveform


def _batches(indices: npt.NDArray[np.intp], size: int) -> Iterator[npt.NDArray[np.intp]]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
