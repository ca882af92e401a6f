"""Whisper's pipeline on CPUs, over a folder in sherpa-onnx's layout."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from asr_service.engines.base import Recognition
from asr_service.engines.ort.features import NumpyFeatures, SherpaWhisperFeatures
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.profiles import Profiles, parse
from asr_service.engines.ort.runtime import Placement, Session
from asr_service.engines.ort.whisper.pipeline import WhisperPipeline
from asr_service.engines.ort.whisper.search import WhisperSearch
from asr_service.engines.ort.whisper.special_tokens import read_texts

TAIL, WINDOW = 1000, 3000
"""Mel frames of silence behind an utterance: sherpa-onnx's, and so many that all reach the end of the window."""


def whisper(directory: Path, *, suffix: str = ".onnx", tail: int = TAIL, rows: str = "64") -> WhisperPipeline:
    """`rows` are those of the only profile."""
    placement = Placement()
    encoder = Session(directory / f"encoder{suffix}", placement)
    front_end = SherpaWhisperFeatures(int(encoder.metadata["n_mels"]), tail=tail)
    return WhisperPipeline(
        front_end,
        NumpyFeatures(front_end, ThreadPoolExecutor(1), channels_first=True),
        Lanes.one(Profiles((parse(f"{rows}x30"),)), encoder),
        WhisperSearch(directory / f"decoder{suffix}", encoder.metadata, placement),
        read_texts(directory / "tokens.txt", encoder.metadata),
    )


def text(recognition: Recognition) -> str:
    return b"".join(token.text for token in recognition.tokens).decode()


def starts(recognitions: Iterable[Recognition]) -> list[float]:
    return [token.start for found in recognitions for token in found.tokens if token.start is not None]
