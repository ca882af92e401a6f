"""Which files of a directory make up a speech recognition model, and which family it is.

Two ways of exporting are known. sherpa-onnx's own scripts write tokens.txt and put what else has to be known into the
ONNX files' metadata. NeMo's exporter, as istupakov/onnx-asr publishes its models, joins decoder and joiner in one file;
vocab.txt and config.json say the rest.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from asr_service.engines.base import Family
from asr_service.engines.onnx_asr import VOCABULARY, family_of, read_config
from asr_service.engines.onnx_header import OnnxHeader, read_header
from serving.errors import ModelUnavailable

Precision = Literal["int8", "fp32"]
Export = Literal["sherpa-onnx", "onnx-asr"]

_ROLES = {
    "preprocess": r"preprocess(or)?",
    "uncached_decoder": r"uncached_decode(r)?",
    "cached_decoder": r"cached_decode(r)?",
    "merged_decoder": r"decoder_model_merged|merged_decoder",
    "decoder_joint": r"decoder_joint",
    "joiner": r"joiner",
    "encoder": r"encoder(_model)?|encode",
    "decoder": r"decoder(_model)?",
    "model": r"model",
}
_SUFFIXES = {".onnx", ".ort"}
_FAMILY_ROLES: tuple[tuple[frozenset[str], Family | None], ...] = (
    # None: the encoder's or the model's metadata decides, or config.json.
    (frozenset({"preprocess", "encoder", "uncached_decoder", "cached_decoder"}), "moonshine"),
    (frozenset({"encoder", "merged_decoder"}), "moonshine"),
    (frozenset({"encoder", "decoder", "joiner"}), None),
    (frozenset({"encoder", "decoder_joint"}), None),
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
    """By role: encoder, decoder, joiner, decoder_joint, model, preprocess, uncached_decoder, cached_decoder,
    merged_decoder.
    """
    tokens: Path
    headers: Mapping[str, OnnxHeader]
    """By role; a file in ORT format has none."""
    export: Export = "sherpa-onnx"
    config: Mapping[str, object] = field(default_factory=dict)
    """What config.json of onnx-asr's exports says."""


def detect(directory: Path, precision: Precision) -> ModelLayout:
    """Raises ModelUnavailable where the directory holds no model of a supported family, or half of one."""
    files = _files_by_role(directory, precision)
    for roles, family in _FAMILY_ROLES:
        if roles <= files.keys():
            chosen = {role: files[role] for role in sorted(roles)}
            headers = {role: _header(path) for role, path in chosen.items() if path.suffix == ".onnx"}
            if _is_of_onnx_asr(directory, chosen):
                return _onnx_asr_layout(directory, chosen, headers)
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
    found = _tokens_files(directory)
    if len(found) != 1:
        raise ModelUnavailable(f"{directory} must hold one tokens.txt, found {_names(found)}")
    return found[0]


def _tokens_files(directory: Path) -> list[Path]:
    return sorted(
        path for path in directory.glob("*tokens.txt") if re.search(r"(^|[-.])tokens\.txt$", path.name)
    )


def _is_of_onnx_asr(directory: Path, files: Mapping[str, Path]) -> bool:
    if "decoder_joint" in files:
        return True
    return "model" in files and (directory / VOCABULARY).exists() and not _tokens_files(directory)


def _onnx_asr_layout(
    directory: Path, files: Mapping[str, Path], headers: Mapping[str, OnnxHeader]
) -> ModelLayout:
    config, tokens = read_config(directory), directory / VOCABULARY
    if not tokens.is_file():
        raise ModelUnavailable(f"{tokens} is missing; fetch the model again")
    if len(headers) < len(files):
        raise ModelUnavailable(f"{directory} holds its model in ORT format; use the files in ONNX format")
    return ModelLayout(directory, family_of(config, directory), files, tokens, headers, "onnx-asr", config)


def _header(path: Path) -> OnnxHeader:
    try:
        header = read_header(path)
    except (ValueError, OSError) as error:
        raise ModelUnavailable(
            f"{path} is not a readable ONNX file ({error}); fetch the model again"
        ) from error
    for name in sorted(header.weight_files):
        if not (path.parent / name).is_file():
            raise ModelUnavailable(
                f"{path} keeps its weights in {name}, which is missing; fetch the model again"
            )
    return header


def _family(directory: Path, headers: Mapping[str, OnnxHeader]) -> Family:
    """By the metadata of the encoder, or of the only file, as sherpa-onnx's export scripts write it."""
    source = headers.get("encoder") or headers.get("model")
    if source is None:
        raise ModelUnavailable(
            f"{directory} holds its model in ORT format, which does not say the family; use the files in ONNX format"
        )
    metadata = source.metadata
    if "encoder" in headers:
        return "nemo-transducer" if "pred_hidden" in metadata else "transducer"
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
