"""How the networks run: as configured, else as was measured to suit the device."""

from dataclasses import dataclass

import torch

from diarization_service.config import WorkerConfig
from serving.cores import cores
from serving.errors import InvalidConfig

STRIDE, BLOCK_WINDOWS = 3, 20
"""Where the trunk is shared. Both phases of a block of 20 have anchors at 0, 3, 6 and 9: 8 windows instead of 20."""

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
    whole_pieces: bool
    """Whether all pieces are of one shape, filled up with silence."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the embedding network's trunk."""
        return _DTYPES[self.precision]

    @property
    def recurrent_dtype(self) -> torch.dtype:
        """Of the segmentation network's recurrent layers."""
        return torch.float16 if self.precision == "fp16" else torch.float32

    @classmethod
    def of(cls, config: WorkerConfig, device: torch.device) -> "Settings":
        """Raises InvalidConfig (a precision that the device does not have)."""
        on_cpu = device.type == "cpu"
        halved = on_cpu and multiplies_bf16()
        # Products in bf16 change no turn of any recording that was tried; a shared trunk does (docs/benchmarks.md).
        mode = ("fast" if halved else "exact") if config.mode == "auto" else config.mode
        suits = ("bf16" if mode == "fast" and halved else "fp32") if on_cpu else "fp16"
        precision = _precision(config, device, suits)
        shared = mode == "fast" and precision == "fp32"
        threads = config.threads or cores()
        segmentation_piece, embedding_piece = (4, 1) if on_cpu else (256, 64)
        return cls(
            mode=mode,
            precision=precision,
            stride=STRIDE if shared else 1,
            block_windows=BLOCK_WINDOWS if shared else 1,
            threads=threads,
            segmentation_batch=config.segmentation_batch_size
            or segmentation_piece * (threads if on_cpu else 2),
            segmentation_piece=segmentation_piece,
            embedding_batch=config.embedding_batch_size or embedding_piece * (threads if on_cpu else 8),
            embedding_piece=embedding_piece,
            whole_pieces=not on_cpu and not shared and precision != "fp32",
        )


def multiplies_bf16() -> bool:
    """Whether the CPU has instructions for it, which make the trunk twice as fast; without them it is slower."""
    # Not in every build of torch that GPUs are used with.
    able: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _precision(config: WorkerConfig, device: torch.device, measured: str) -> str:
    precision = measured if config.precision == "auto" else config.precision
    if precision not in _PRECISIONS[device.type]:
        raise InvalidConfig(f"{device.type} does not compute in {precision}", field="precision")
    return precision
