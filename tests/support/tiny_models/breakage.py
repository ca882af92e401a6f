"""Breaks a model in every way that a bad download or a wrong export can, and tells what loading it does.

sherpa-onnx ends the process over much of this, so it is run as a program: `python -m support.tiny_models.breakage NAME
DIRECTORY ENGINE` writes a JSON line before and after each attempt, and the last line of a process that died names the culprit.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import onnx

from asr_service.engines import EngineName, load
from asr_service.engines.base import Speech
from serving.errors import ModelUnavailable
from support.tiny_models import MODELS, bursts

_FOR_PEOPLE = {
    *("version", "model_author", "maintainer", "comment", "joiner_dim", "alignment_heads"),
    *("n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer", "n_text_head"),
    *("sot_index", "sot_lm", "sot_prev", "non_speech_tokens"),
}
"""Metadata that nothing reads."""

REFUSED, HARMLESS, MANGLED = "refused", "harmless", "mangled"
Breakage = tuple[str, Callable[[], object]]


def breakages(directory: Path) -> Iterator[Breakage]:
    """Names and deeds; each is done to a copy of its own."""
    files = sorted(directory.iterdir())
    for path, other in zip(files, files[1:] + files[:1], strict=True):
        size = path.stat().st_size
        yield f"{path.name} missing", path.unlink
        yield f"{path.name} empty", partial(_cut, path, 0)
        yield f"{path.name} cut in half", partial(_cut, path, size // 2)
        yield f"{path.name} cut at its end", partial(_cut, path, size - 5)
        yield f"{path.name} of noise", partial(path.write_bytes, bytes(range(7, 207)) * 20)
        if path.suffix == ".onnx":
            yield f"{path.name} with {other.name} in it", partial(shutil.copy, other, path)
            yield from _metadata_breakages(path)
        if path.name in {"tokens.txt", "vocab.txt"}:
            yield f"{path.name} one short", partial(_drop_line, path)


def _metadata_breakages(path: Path) -> Iterator[Breakage]:
    for entry in onnx.load(path).metadata_props:
        if entry.key in _FOR_PEOPLE:
            continue
        for how, value in (
            ("missing", None),
            ("not a number", "many"),
            ("negative", "-3"),
            ("too large", "9999"),
        ):
            yield f"{path.name} with {entry.key} {how}", partial(set_metadata, path, entry.key, value)


def _cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def _drop_line(path: Path) -> None:
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:-1]), "utf-8")


def set_metadata(path: Path, key: str, value: str | None) -> None:
    model = onnx.load(path)
    metadata = {entry.key: entry.value for entry in model.metadata_props if entry.key != key}
    if value is not None:
        metadata[key] = value
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)


def _attempt(directory: Path, engine: EngineName, expected: list[bytes]) -> dict[str, str]:
    try:
        return {"outcome": HARMLESS if _hear(directory, engine) == expected else MANGLED}
    except ModelUnavailable as error:
        return {"outcome": REFUSED, "message": error.message.replace(str(directory), "DIRECTORY")}


def _hear(directory: Path, engine: EngineName) -> list[bytes]:
    (recognition,) = load(directory, precision="fp32", threads=1, engine=engine).recognize(
        [Speech(bursts([0.1, 0.6], 0.9))]
    )
    return [token.text for token in recognition.tokens]


def _say(**fields: str) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def main(name: str, directory: Path, engine: EngineName) -> None:
    intact = directory / "intact"
    intact.mkdir()
    MODELS[name].write(intact)
    expected = _hear(intact, engine)
    for number in range(len(list(breakages(intact)))):
        copy = shutil.copytree(intact, directory / str(number))
        breakage, commit = list(breakages(copy))[number]
        _say(breakage=breakage)
        commit()
        _say(breakage=breakage, **_attempt(copy, engine, expected))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), "ort" if sys.argv[3] == "ort" else "sherpa")
