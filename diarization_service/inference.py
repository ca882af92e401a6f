"""The two networks as stages alike: what each takes of a recording, computes of several, and gives back."""

from collections.abc import Sequence
from itertools import accumulate, chain, islice
from typing import Any, Protocol

import numpy as np

from diarization_service.recording import Recording
from diarization_service.reports import EMBEDDING, SEGMENTATION
from diarization_service.stages import Activity, Block, Floats, Networks, Windows, joined


class Stage(Protocol):
    """One of the networks. `Any` is what it takes of one recording, of several joined, and gives back for one."""

    name: str
    most: int
    """Items in a batch."""

    def take(self, recording: Recording, most: int) -> Any:
        """Up to `most` items that are ready."""

    def joined(self, parts: Sequence[Any]) -> Any:
        """The items of all parts."""

    def compute(self, joined: Any, sizes: Sequence[int]) -> Sequence[Any]:
        """What comes of parts of these sizes. Raises MachineFailed."""

    def accept(self, recording: Recording, result: Any) -> None: ...


class Segmentation:
    """Windows in, who is heard in them out."""

    name = SEGMENTATION

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.most = networks.segmentation_batch

    def take(self, recording: Recording, most: int) -> Windows:
        return recording.take_windows(most)

    def joined(self, parts: Sequence[Windows]) -> Windows:
        return joined(parts)

    def compute(self, joined: Windows, sizes: Sequence[int]) -> Sequence[Activity]:
        return np.split(self._networks.segment(joined), list(accumulate(sizes[:-1])))

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

    def joined(self, parts: Sequence[list[Block]]) -> list[Block]:
        return list(chain.from_iterable(parts))

    def compute(self, joined: list[Block], sizes: Sequence[int]) -> Sequence[list[Floats]]:
        embeddings = iter(self._networks.embed(joined))
        return [list(islice(embeddings, size)) for size in sizes]

    def accept(self, recording: Recording, result: list[Floats]) -> None:
        recording.accept_embeddings(result)
