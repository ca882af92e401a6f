"""Which files of a directory make up a model of sherpa-onnx's offline families, and which family it is."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asr_service.engines.base import Family
from asr_service.engines.onnx_header import OnnxHeader, read_header
from serving.errors import ModelUnavailable

Precision = Literal["int8", "fp32"]

_ROLES = {
    "preprocess": r"preprocess(or)?",
    "uncached_decoder": r"uncached_decode(r)?",
    "cached_decoder": r"cached_decode(r)?",
    "merged_decoder": r"decoder_model_merged|merged_decoder",
    "joiner": r"joiner",
    "encoder": r"encoder(_model)?|encode",
    "decoder": r"decoder(_model)?",
    "model": r"model",
}
_SUFFIXES = {".onnx", ".ort"}
_FAMILY_ROLES: tuple[tuple[frozenset[str], Family | None], ...] = (
    # None: the encoder's or the model's metadata decides.
    (frozenset({"preprocess", "encoder", "uncached_decoder", "cached_decoder"}), "moonshine"),
    (frozenset({"encoder", "merged_decoder"}), "moonshine"),
    (frozenset({"encoder", "decoder", "joiner"}), None),
    (frozenset({"encoder", "decoder"}), "whisper"),
    (frozenset({"model"}), None),
)
_SUPPORTED = (
    "transducer, NeMo transducer, NeMo CTC, Zipformer CTC, Whisper, Moonshine, SenseVoice or Paraformer"
)


@dataclass(frozen=True)
class ModelLayout:
    directory: Path
    family: Family
    files: Mapping[str, Path]
    """By role: encoder, decoder, joiner, model, preprocess, uncached_decoder, cached_decoder, merged_decoder."""
    tokens: Path
    headers: Mapping[str, OnnxHeader]
    """By role; a file in ORT format has none."""


def detect(directory: Path, precision: Precision) -> ModelLayout:
    """Raises ModelUnavailable where the directory holds no model of a supported family, or half of one."""
    files = _files_by_role(directory, precision)
    for roles, family in _FAMILY_ROLES:
        if roles <= files.keys():
            chosen = {role: files[role] for role in sorted(roles)}
            headers = {role: _header(path) for role, path in chosen.items() if path.suffix == ".onnx"}
            tokens = _tokens_file(directory)
            return ModelLayout(directory, family or _family(directory, headers), chosen, tokens, headers)
    raise ModelUnavailable(
        f"{directory} holds no speech recognition model: found {_names(files.values())}, expected the files of a "
        f"{_SUPPORTED} model; name another directory, or fetch a model with `duoscribe models pull`"
    )


def _files_by_role(directory: Path, precision: Precision) -> dict[str, Path]:
    if not directory.is_dir():
        raise ModelUnavailable(f"{directory} is no directory; fetch a model with `duoscribe models pull`")
    candidates: dict[str, list[Path]] = {}
    for path in sorted(directory.iterdir()):
        if path.suffix in _SUFFIXES and (role := _role(path)):
            candidates.setdefault(role, []).append(path)
    return {role: _preferred(role, paths, precision) for role, paths in candidates.items()}


def _role(path: Path) -> str | None:
    """The first role whose word stands by itself in the file's name: "tiny.en-encoder.int8.onnx" is an encoder."""
    for role, word in _ROLES.items():
        if re.search(rf"(^|[-.])({word})([-.]|$)", path.name):
            return role
    return None


def _preferred(role: str, paths: list[Path], precision: Precision) -> Path:
    def is_preferred(path: Path) -> bool:
        return (".int8." in path.name) == (precision == "int8")

    chosen = [path for path in paths if is_preferred(path)] or paths
    if len(chosen) > 1:
        raise ModelUnavailable(
            f"{chosen[0].parent} holds several {role} files ({_names(chosen)}); "
            "keep one of them, or name a directory that holds one model"
        )
    return chosen[0]


def _tokens_file(directory: Path) -> Path:
    found = sorted(
        path for path in directory.glob("*tokens.txt") if re.search(r"(^|[-.])tokens\.txt$", path.name)
    )
    if len(found) != 1:
        raise ModelUnavailable(f"{directory} must hold one tokens.txt, found {_names(found)}")
    return found[0]


def _header(path: Path) -> OnnxHeader:
    try:
        return read_header(path)
    except (ValueError, OSError) as error:
        raise ModelUnavailable(
            f"{path} is not a readable ONNX file ({error}); fetch the model again"
        ) from error


def _family(directory: Path, headers: Mapping[str, OnnxHeader]) -> Family:
    """By the metadata of the encoder, or of the only file, as sherpa-onnx's export scripts write it."""
    if "joiner" in headers:
        return "nemo-transducer" if "pred_hidden" in headers["encoder"].metadata else "transducer"
    metadata = headers["model"].metadata
    model_type = metadata.get("model_type", "")
    if "with_itn" in metadata or "lang_auto" in metadata:
        return "sense-voice"
    if "neg_mean" in metadata:
        return "paraformer"
    if model_type.startswith("EncDec"):
        return "nemo-ctc"
    if model_type == "zipformer2_ctc":
        return "zipformer-ctc"
    raise ModelUnavailable(
        f"{directory}: the metadata of {directory.name}'s model says model_type {model_type!r}, "
        f"which is no {_SUPPORTED} model"
    )


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(path.name for path in paths) or "nothing"
