"""How a batch is spread over a device: over the cores of a CPU, or in pieces into a GPU's queue."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

Piece = tuple[np.ndarray, ...]


class Spread(Protocol):
    """Runs a network on pieces of a batch."""

    def __call__(self, network: nn.Module, pieces: Iterable[Piece]) -> list[np.ndarray]:
        """What the network makes of each, in order."""
        ...


class Cores:
    """Each piece on one core: threads that share a piece wait for each other after every layer.

    Where other processes want the same cores, that waiting is most of the time.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def __call__(self, network: nn.Module, pieces: Iterable[Piece]) -> list[np.ndarray]:
        return list(self._pool.map(lambda piece: self._one(network, piece), pieces))

    @torch.inference_mode()
    def _one(self, network: nn.Module, piece: Piece) -> np.ndarray:
        answer: Tensor = network(*(torch.from_numpy(array) for array in piece))
        return answer.numpy()


class Gpu:
    """One piece after the other, once all are on the GPU: sending waits for what was begun before.

    They are sent from where they lie. Memory that the GPU could read by itself takes longer to get than the copy does.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    @torch.inference_mode()
    def __call__(self, network: nn.Module, pieces: Iterable[Piece]) -> list[np.ndarray]:
        sent = [[torch.from_numpy(array).to(self._device) for array in piece] for piece in pieces]
        answers = [network(*piece) for piece in sent]
        return [answer.cpu().numpy() for answer in answers]
