"""Engines of the cache in words: for tables, and for whoever has to repair one."""

from asr_service.engines.ort.cache import Entry
from asr_service.engines.ort.devices import Installation
from asr_service.engines.ort.profiles import parse
from asr_service.engines.ort.recipe import build_command
from asr_service.engines.ort.settings import Settings

HEADINGS = ("engine", "model", "profile", "precision", "built on", "size", "built")

_SHOWN_KEY = 12


def short_key(entry: Entry) -> str:
    """As much of the folder's name as tells it from others."""
    return entry.folder.name[:_SHOWN_KEY]


def columns(entry: Entry) -> tuple[str, ...]:
    """What HEADINGS say of it."""
    size, record = f"{entry.size / 1e6:.0f} MB", entry.record
    if record is None:
        return (short_key(entry), "?", "?", "?", "?", size, "damaged")
    on = record.identity
    return (
        short_key(entry),
        record.model,
        on.profile,
        record.precision,
        f"{on.gpu}, driver {on.driver}, ONNX Runtime {on.onnxruntime}, TensorRT {on.tensorrt}",
        size,
        "damaged" if entry.problem() else record.built,
    )


def summary(entry: Entry) -> str:
    """How a build went, in one line."""
    record = entry.record
    if record is None:
        return str(entry.folder)
    return (
        f"{record.identity.encoder} {record.identity.profile}: {record.engine_bytes / 1e6:.0f} MB, built in "
        f"{record.seconds:.0f} s; {record.figures}; {record.finding or 'TensorRT runs the whole encoder'}; {entry.folder}"
    )


def repair(entry: Entry, problem: str) -> str:
    """What is wrong, and the command that makes it good."""
    command, record = "duoscribe engines clean", entry.record
    if record is not None:
        settings = Settings(profiles=(parse(record.identity.profile),), precision=record.precision)
        command = build_command(record.model, settings)
    return f"damaged: {problem}; run `{command}`"


def is_native(entry: Entry, installation: Installation) -> bool:
    """Whether it was built for a GPU, a driver and libraries like this machine's."""
    if entry.record is None:
        return False
    on = entry.record.identity
    return (on.onnxruntime, on.tensorrt) == (installation.onnxruntime, installation.tensorrt) and any(
        (on.gpu, on.driver) == (gpu.name, gpu.driver) for gpu in installation.gpus
    )
