"""How the networks run, by configuration and device."""

from typing import Any

import pytest

from diarization_service.config import WorkerConfig
from serving.errors import InvalidConfig

# Not for weights, but for torch, which is slow to load and which other tests do without.
pytestmark = pytest.mark.models


def settings(monkeypatch: pytest.MonkeyPatch, *, bf16: bool, device: str = "cpu", **configured: Any) -> Any:
    """On a CPU with or without instructions for bf16."""
    import torch  # noqa: PLC0415

    from diarization_service.settings import Settings  # noqa: PLC0415

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": bf16, "amx_bf16": False})
    return Settings.of(WorkerConfig("segmentation", "embedding", device, **configured), torch.device(device))


@pytest.mark.parametrize(
    ("mode", "bf16", "found", "precision", "shares"),
    [
        ("auto", True, "fast", "bf16", False),
        ("auto", False, "exact", "fp32", False),
        ("exact", True, "exact", "fp32", False),
        ("fast", True, "fast", "bf16", False),
        ("fast", False, "fast", "fp32", True),
    ],
)
def test_a_cpu_is_fast_by_itself_where_that_changes_no_turns(
    monkeypatch: pytest.MonkeyPatch, mode: str, bf16: bool, found: str, precision: str, shares: bool
) -> None:
    used = settings(monkeypatch, bf16=bf16, mode=mode)
    assert (used.mode, used.precision) == (found, precision)
    assert (used.stride > 1, used.block_windows > 1) == (shares, shares)


def test_a_cpu_fills_every_core_with_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    used = settings(monkeypatch, bf16=False, threads=6)
    assert used.embedding_batch == 6 * used.embedding_piece
    assert used.segmentation_batch == 6 * used.segmentation_piece


def test_a_gpu_computes_embeddings_in_fp16_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, bf16=False, device="cuda").precision == "fp16"
    assert settings(monkeypatch, bf16=False, device="cuda", precision="fp32").precision == "fp32"


def test_configured_batches_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    used = settings(monkeypatch, bf16=False, segmentation_batch_size=3, embedding_batch_size=5)
    assert (used.segmentation_batch, used.embedding_batch) == (3, 5)


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_a_precision_that_a_cpu_does_not_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    with pytest.raises(InvalidConfig, match=precision):
        settings(monkeypatch, bf16=True, precision=precision)
