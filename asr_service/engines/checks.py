"""Looks at a model before an engine does: where metadata or the token table are wrong, sherpa-onnx ends the process.

The lists follow what sherpa-onnx 2.0.1's model classes read with SHERPA_ONNX_READ_META_DATA.
"""

import base64
import binascii
from collections.abc import Callable
from pathlib import Path

from asr_service.engines.base import Family
from asr_service.engines.layout import ModelLayout
from asr_service.engines.onnx_asr_checks import check_onnx_asr
from asr_service.engines.signatures import check_signatures
from asr_service.engines.tokens import read_tokens
from serving.errors import ModelUnavailable

_LFR_NUMBERS = ("vocab_size", "lfr_window_size", "lfr_window_shift")
_NUMBERS: dict[Family, tuple[tuple[str, str], ...]] = {
    "whisper": tuple(
        ("encoder", key)
        for key in (
            *("n_mels", "n_text_layer", "n_text_ctx", "n_text_state", "n_vocab", "sot", "eot", "blank_id"),
            *("translate", "transcribe", "is_multilingual", "no_timestamps", "no_speech"),
        )
    ),
    "transducer": (("decoder", "vocab_size"), ("decoder", "context_size")),
    "nemo-transducer": tuple(
        ("encoder", key) for key in ("vocab_size", "subsampling_factor", "pred_rnn_layers", "pred_hidden")
    ),
    "nemo-ctc": (("model", "vocab_size"), ("model", "subsampling_factor")),
    "zipformer-ctc": (),
    "moonshine": (),
    "sense-voice": tuple(
        ("model", key)
        for key in (
            *(*_LFR_NUMBERS, "normalize_samples", "with_itn", "without_itn"),
            *("lang_auto", "lang_zh", "lang_en", "lang_ja", "lang_ko", "lang_yue"),
        )
    ),
    "paraformer": tuple(("model", key) for key in _LFR_NUMBERS),
}
_VECTORS: dict[Family, tuple[tuple[str, str], ...]] = {
    "sense-voice": (("model", "neg_mean"), ("model", "inv_stddev")),
    "paraformer": (("model", "neg_mean"), ("model", "inv_stddev")),
}
_OPTIONAL_NUMBERS: dict[Family, tuple[tuple[str, str], ...]] = {
    "whisper": (("encoder", "n_alignment_heads"),),
    "nemo-transducer": (("encoder", "is_giga_am"), ("encoder", "feat_dim")),
    "nemo-ctc": (("model", "is_giga_am"),),
    "sense-voice": (("model", "blank_id"),),
}
_NEMO_NORMALIZATIONS = frozenset({"", "NA", "per_feature"})
_MEL_BINS = 80
CTC_BLANKS = (b"<blk>", b"<eps>", b"<blank>")
"""In the order in which sherpa-onnx looks for them."""


def check(layout: ModelLayout) -> None:
    """Raises ModelUnavailable with the file and the field that an engine would stumble over."""
    if layout.export == "onnx-asr":
        check_onnx_asr(layout)
        return
    check_signatures(layout)
    for role, key in _NUMBERS[layout.family]:
        _check_number(layout, role, key)
    for role, key in _OPTIONAL_NUMBERS.get(layout.family, ()):
        if key in layout.headers[role].metadata:
            _check_number(layout, role, key)
    for role, key in _VECTORS.get(layout.family, ()):
        _check_vector(layout, role, key)
    for check_more in _MORE_CHECKS.get(layout.family, ()):
        check_more(layout)
    for role, path in layout.files.items():
        if path.suffix == ".ort":
            _check_ort(role, path)
    _check_tokens(layout, read_tokens(layout.tokens))


def _check_number(layout: ModelLayout, role: str, key: str) -> None:
    value = _metadata(layout, role, key)
    if not value.strip().isdigit():
        raise _broken(layout, role, f"metadata {key!r} must be a whole number, is {value[:40]!r}")


def _check_vector(layout: ModelLayout, role: str, key: str) -> None:
    value = _metadata(layout, role, key)
    try:
        numbers = [float(item) for item in value.split(",")]
    except ValueError:
        numbers = []
    if not numbers:
        raise _broken(
            layout, role, f"metadata {key!r} must be numbers separated by commas, is {value[:40]!r}"
        )


def _check_feature_statistics(layout: ModelLayout) -> None:
    """sherpa-onnx adds and multiplies as many numbers as the longer vector has, whatever the features hold."""
    metadata = layout.headers["model"].metadata
    expected = int(metadata["lfr_window_size"]) * _MEL_BINS
    for key in ("neg_mean", "inv_stddev"):
        if (found := len(metadata[key].split(","))) != expected:
            raise _broken(layout, "model", f"metadata {key!r} must hold {expected} numbers, holds {found}")


def _check_normalization(layout: ModelLayout) -> None:
    role = "encoder" if "encoder" in layout.headers else "model"
    value = _metadata(layout, role, "normalize_type")
    if value not in _NEMO_NORMALIZATIONS:
        raise _broken(
            layout, role, f"metadata 'normalize_type' must be empty or per_feature, is {value[:40]!r}"
        )


def _check_durations(layout: ModelLayout) -> None:
    """A TDT joiner gives durations behind the tokens; sherpa-onnx knows TDT models by "tdt" in their url."""
    is_tdt = "tdt" in layout.headers["encoder"].metadata.get("url", "")
    tokens = int(layout.headers["encoder"].metadata["vocab_size"]) + 1
    size = next(iter(layout.headers["joiner"].outputs.values()))[-1] or 0
    if is_tdt and size <= tokens:
        raise _broken(
            layout, "joiner", f"gives {size} numbers, too few for {tokens} tokens and TDT's durations"
        )
    if not is_tdt and size != tokens:
        raise _broken(
            layout,
            "joiner",
            f"gives {size} numbers for {tokens} tokens; if it is a TDT model, the encoder's metadata 'url' must "
            'contain "tdt"',
        )


def _check_prompt(layout: ModelLayout) -> None:
    value = _metadata(layout, "encoder", "sot_sequence")
    if not all(token.strip().isdigit() for token in value.split(",")):
        raise _broken(layout, "encoder", f"metadata 'sot_sequence' must be token ids, is {value[:40]!r}")


def _check_whisper_languages(layout: ModelLayout) -> None:
    if layout.headers["encoder"].metadata["is_multilingual"] == "0":
        return
    codes = _metadata(layout, "encoder", "all_language_codes").split(",")
    tokens = _metadata(layout, "encoder", "all_language_tokens").split(",")
    if len(codes) != len(tokens) or not all(token.strip().isdigit() for token in tokens):
        raise _broken(layout, "encoder", "metadata 'all_language_codes' and 'all_language_tokens' disagree")


def _check_feature_dimension(layout: ModelLayout) -> None:
    """NeMo encoders take features of shape (batch, feature, time); metadata may say the second instead."""
    header = layout.headers["encoder"]
    shape = next(iter(header.inputs.values()))
    if not header.metadata.get("feat_dim", "").isdigit() and (len(shape) < 2 or not shape[1]):
        raise _broken(
            layout, "encoder", "says its feature dimension neither in metadata 'feat_dim' nor in its input"
        )


def _check_vocabulary_axis(layout: ModelLayout) -> None:
    shape = next(iter(layout.headers["model"].outputs.values()))
    if len(shape) != 3:
        raise _broken(layout, "model", "its first output must be (batch, time, vocabulary)")


def _check_ort(role: str, path: Path) -> None:
    """The identifier of ONNX Runtime's flatbuffer format follows the four bytes of its root offset."""
    with path.open("rb") as file:
        if file.read(8)[4:] != b"ORTM":
            raise ModelUnavailable(f"{path} ({role}) is not in ORT format; fetch the model again")


def _check_tokens(layout: ModelLayout, table: dict[int, bytes]) -> None:
    symbols = set(table.values())
    if _has_base64_tokens(layout):
        _check_base64(layout, table)
    elif layout.family == "nemo-transducer":
        expected = int(layout.headers["encoder"].metadata["vocab_size"]) + 1
        if len(table) != expected or table.get(expected - 1) != b"<blk>":
            raise _wrong_tokens(layout, f"must hold {expected} tokens with <blk> last, holds {len(table)}")
    elif layout.family in {"nemo-ctc", "zipformer-ctc"} and symbols.isdisjoint(CTC_BLANKS):
        raise _wrong_tokens(layout, "must hold <blk>, <eps> or <blank>")
    elif layout.family == "paraformer" and b"</s>" not in symbols:
        raise _wrong_tokens(layout, "must hold </s>")
    if missing := set(range(_vocabulary_size(layout))) - table.keys():
        raise _wrong_tokens(
            layout, f"lacks {len(missing)} of the model's tokens, the first is {min(missing)}"
        )


def _has_base64_tokens(layout: ModelLayout) -> bool:
    """Moonshine's first generation, of four files, has plain pieces."""
    return layout.family == "whisper" or "merged_decoder" in layout.files


def _check_base64(layout: ModelLayout, table: dict[int, bytes]) -> None:
    for token_id, symbol in table.items():
        try:
            base64.b64decode(symbol, validate=True)
        except binascii.Error:
            raise _wrong_tokens(layout, f"token {token_id} is not base64") from None


def _vocabulary_size(layout: ModelLayout) -> int:
    """Ids that the decoder can emit and then looks up; Whisper and Moonshine skip ids they do not know."""
    if layout.family in {"whisper", "moonshine"}:
        return 0
    if layout.family == "zipformer-ctc":
        return next(iter(layout.headers["model"].outputs.values()))[2] or 0
    role = {"transducer": "decoder", "nemo-transducer": "encoder"}.get(layout.family, "model")
    return int(layout.headers[role].metadata["vocab_size"])


def _metadata(layout: ModelLayout, role: str, key: str) -> str:
    try:
        return layout.headers[role].metadata[key]
    except KeyError:
        raise _broken(layout, role, f"metadata {key!r} is missing") from None


def _broken(layout: ModelLayout, role: str, what: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"{layout.files[role]}: {what}; this {layout.family} model was not exported for sherpa-onnx"
    )


def _wrong_tokens(layout: ModelLayout, what: str) -> ModelUnavailable:
    return ModelUnavailable(f"{layout.tokens} {what}; it belongs to another model, fetch the model again")


_MORE_CHECKS: dict[Family, tuple[Callable[[ModelLayout], None], ...]] = {
    "whisper": (_check_prompt, _check_whisper_languages),
    "nemo-transducer": (_check_normalization, _check_feature_dimension, _check_durations),
    "nemo-ctc": (_check_normalization,),
    "zipformer-ctc": (_check_vocabulary_axis,),
    "sense-voice": (_check_feature_statistics,),
    "paraformer": (_check_feature_statistics,),
}
