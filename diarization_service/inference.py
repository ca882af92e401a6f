"""The two networks as stages alike: what each takes of a recording, computes of several, and gives back."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

from diarization_service.recording import Recording
from diarization_service.reports import EMBEDDING, SEGMENTATION
from diarization_service.stages import Activity, Block, Floats, Networks


class Stage(Protocol):
    """One of the networks. `Any` is what it takes of one recording, and what it gives back for it."""

    name: str
    most: int
    """Items in a batch."""

    def take(self, recording: Recording, most: int) -> Any:
        """Up to `most` items that are ready."""

    def compute(self, parts: Sequence[Any]) -> Sequence[Any]:
        """What comes of each part, all computed together. Raises MachineFailed."""

    def accept(self, recording: Recording, result: Any) -> None: ...


class Segmentation:
    """Windows in, who is heard in them out."""

    name = SEGMENTATION

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.most = networks.segmentation_batch

    def take(self, recording: Recording, most: int) -> Floats:
        return recording.take_windows(most)

    def compute(self, parts: Sequence[Floats]) -> Sequence[Activity]:
        windows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return np.split(self._networks.segment(windows), _bounds(parts))

    def accept(self, recording: Recording, result: Activity) -> None:
        recording.accept_activity(result)


class Embedding:
    """Blocks in, the embeddings of their windows' speakers out."""

    name = EMBEDDING

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.most = networks.embedding_batch

    def take(self, recording: Recording, most: int) -> list[Block]:
        return recording.take_blocks(most)

    def compute(self, parts: Sequence[list[Block]]) -> Sequence[list[Floats]]:
        embeddings = self._networks.embed([block for part in parts for block in part])
        starts = [0, *_bounds(parts)]
        return [embeddings[start : start + len(part)] for start, part in zip(starts, parts, strict=True)]

    def accept(self, recording: Recording, result: list[Floats]) -> None:
        recording.accept_embeddings(result)


def _bounds(parts: Sequence[Any]) -> list[int]:
    """Where each part but the first begins in all of them together."""
    return list(accumulate(len(part) for part in parts[:-1]))
