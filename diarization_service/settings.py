"""How the networks run: as configured, else as was measured to suit the device."""

from dataclasses import dataclass

import torch

from diarization_service.config import WorkerConfig
from serving.cores import cores
from serving.errors import InvalidConfig

_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": tuple(_DTYPES)}


@dataclass(frozen=True)
class Settings:
    """A batch is what is asked for at once, a piece what one network call takes of it."""

    mode: str
    """exact or fast."""
    precision: str
    stride: int
    """Of a block's windows, every how many-th the embedding network's trunk runs on."""
    block_windows: int
    threads: int
    segmentation_batch: int
    segmentation_piece: int
    embedding_batch: int
    embedding_piece: int

    @property
    def dtype(self) -> torch.dtype:
        """Of the embedding network's trunk."""
        return _DTYPES[self.precision]

    @classmethod
    def of(cls, config: WorkerConfig, device: torch.device) -> "Settings":
        """Raises InvalidConfig (a precision that the device does not have)."""
        on_cpu = device.type == "cpu"
        threads = config.threads or cores()
        mode = "exact" if config.mode == "auto" else config.mode
        segmentation_piece, embedding_piece = (4, 1) if on_cpu else (256, 64)
        return cls(
            mode=mode,
            precision=_precision(config, device, mode),
            stride=2 if mode == "fast" else 1,
            block_windows=21 if mode == "fast" else 1,
            threads=threads,
            segmentation_batch=config.segmentation_batch_size
            or segmentation_piece * (threads if on_cpu else 2),
            segmentation_piece=segmentation_piece,
            embedding_batch=config.embedding_batch_size or embedding_piece * (threads if on_cpu else 4),
            embedding_piece=embedding_piece,
        )


def _precision(config: WorkerConfig, device: torch.device, mode: str) -> str:
    if config.precision == "auto":
        if device.type == "cpu":
            return "bf16" if mode == "fast" and _multiplies_bf16() else "fp32"
        return "fp32"
    if config.precision not in _PRECISIONS[device.type]:
        raise InvalidConfig(f"{device.type} does not compute in {config.precision}", field="precision")
    return config.precision


def _multiplies_bf16() -> bool:
    """Whether the CPU has instructions for it: it is then twice as fast as fp32, and slower otherwise."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
