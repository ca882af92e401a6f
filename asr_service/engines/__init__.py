"""Engines: what turns speech into tokens."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from asr_service.engines.base import Engine
from asr_service.engines.continuing import ContinuingEngine
from asr_service.engines.layout import Precision
from asr_service.engines.ort.choice import check_packages
from asr_service.engines.ort.devices import look
from asr_service.engines.ort.settings import Settings
from asr_service.engines.ort.source import Source

__all__ = ["EngineName", "load"]

EngineName = Literal["sherpa", "ort"]

ON_CPU = Settings(provider="cpu")


def load(
    directory: Path,
    *,
    precision: Precision,
    threads: int,
    engine: EngineName = "sherpa",
    settings: Settings = ON_CPU,
    name: str = "",
    fingerprint: str = "",
) -> Engine:
    """Loads and warms the model in `directory`, whatever its family.

    `precision` says which files to prefer where a directory holds both; `threads` is for one decode. The rest is for ort:
    `settings`, but for their threads; `name`, by which users know the model, and its folder's `fingerprint`, to find
    what was built for it. Raises ModelUnavailable where files are missing, unreadable, or not of a family that it runs.
    """
    if engine == "ort":
        source = Source(directory, name or str(directory), fingerprint)
        loaded = _ort(source, precision, replace(settings, threads=threads))
    else:
        loaded = _sherpa(directory, precision, threads)
    if loaded.info.family == "whisper" and loaded.info.measures_time:
        return ContinuingEngine(loaded)
    return loaded


def _sherpa(directory: Path, precision: Precision, threads: int) -> Engine:
    from asr_service.engines.sherpa import SherpaEngine  # noqa: PLC0415 - 50 MB of native code, wanted late

    return SherpaEngine(directory, precision=precision, threads=threads)


def _ort(source: Source, precision: Precision, settings: Settings) -> Engine:
    installation = look()
    check_packages(installation)
    # ONNX Runtime, wanted late: and not before it is known to be there once.
    from asr_service.engines.ort.assembly import open_engine  # noqa: PLC0415

    return open_engine(source, precision, settings, installation)
