"""Engines: what turns speech into tokens."""

from pathlib import Path

from asr_service.engines.base import Engine
from asr_service.engines.continuing import ContinuingEngine
from asr_service.engines.layout import Precision

__all__ = ["load"]


def load(directory: Path, *, precision: Precision, threads: int) -> Engine:
    """Loads and warms the model in `directory`, whatever its family.

    `precision` says which files to prefer where a directory holds both; `threads` is for one decode.
    Raises ModelUnavailable where files are missing, unreadable, or not of a supported family.
    """
    from asr_service.engines.sherpa import SherpaEngine  # noqa: PLC0415 - 50 MB of native code, wanted late

    engine = SherpaEngine(directory, precision=precision, threads=threads)
    if engine.info.family == "whisper" and engine.info.measures_time:
        return ContinuingEngine(engine)
    return engine
