"""The way from a model's files to what sherpa-onnx recognises with them."""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """Between which features are expected."""

    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


def write_tokens(directory: Path, symbols: Iterable[str], *, encode: bool = False) -> None:
    """Whisper's symbols are base64 of their text."""
    written = (base64.b64encode(symbol.encode()).decode() if encode else symbol for symbol in symbols)
    lines = [f"{symbol} {number}\n" for number, symbol in enumerate(written)]
    (directory / "tokens.txt").write_text("".join(lines), encoding="utf-8")


def recognized(factory: Callable[..., Any], directory: Path, samples: Samples, **options: Any) -> Any:
    """The result for `samples` of the model in `directory`, whose files are named for their roles."""
    files = {path.stem: str(path) for path in [*directory.glob("*.onnx"), directory / "tokens.txt"]}
    recognizer = factory(**files, **options)
    stream = recognizer.create_stream()
    stream.accept_waveform(16_000, samples)
    recognizer.decode_stream(stream)
    return stream.result
