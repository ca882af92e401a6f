"""How many threads PyTorch computes with."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from serving.cores import cores
from workbench.recipe import Size


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Sums, and so random models, come out the same only for the same number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def repeatable(size: Size) -> Iterator[None]:
    """As many threads as at any time on this machine, whatever ran before: random models of a size are the same then."""
    with threads(cores() if size == "full" else 1):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """For products so small that threads would mostly wait for each other."""
    with threads(1):
        yield
