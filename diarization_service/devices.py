"""Where torch computes, and how it fails there."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch.utilities.memory import is_oom_error

from diarization_service.stages import MachineFailed
from serving.errors import InvalidConfig


def device_named(name: str) -> torch.device:
    """The device; `auto` is a GPU where there is one. Raises InvalidConfig (no such device)."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device("cuda:0" if name == "cuda" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidConfig(f"cannot compute on device {name!r}: {error}", field="device") from error
    return device


def provider(device: torch.device) -> str:
    """The device as people know it."""
    return "cpu" if device.type == "cpu" else f"{device} ({torch.cuda.get_device_name(device)})"


@contextmanager
def failures_named() -> Iterator[None]:
    """Raises MachineFailed for errors that another replica may not have: no memory, or a GPU that fell out."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError | torch.AcceleratorError) or is_oom_error(error):
            raise MachineFailed(str(error)) from error
        raise
