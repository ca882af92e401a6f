"""Devices and workers by configuration."""

import pytest

from diarization_service.config import Config


@pytest.mark.parametrize(
    ("device", "workers", "devices"),
    [
        ("auto", 0, ("auto",)),
        ("", 0, ("auto",)),
        ("cpu", 2, ("cpu", "cpu")),
        ("cuda:0,cuda:1", 0, ("cuda:0", "cuda:1")),
        ("cuda:0, cuda:1,", 0, ("cuda:0", "cuda:1")),
        ("cuda:0,cuda:1", 3, ("cuda:0", "cuda:1", "cuda:0")),
        ("cuda:0,cuda:1", 1, ("cuda:0",)),
    ],
)
def test_workers_are_dealt_over_the_devices_in_turn(
    device: str, workers: int, devices: tuple[str, ...]
) -> None:
    assert Config(device=device, workers=workers).devices == devices
