"""Looks at a NeMo model in onnx-asr's layout before an engine does.

The names of the tensors are those that NeMo's exporter gives (nemo/collections/asr/modules: ConformerEncoder,
RNNTDecoderJoint, ConvASRDecoder).
"""

from asr_service.engines.layout import ModelLayout
from asr_service.engines.onnx_asr import CONFIG
from asr_service.engines.tokens import read_tokens
from serving.errors import ModelUnavailable

BLANK = b"<blk>"

_FEATURES = ("audio_signal", "length")
_TENSORS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # By role: the names of inputs and outputs.
    "encoder": (_FEATURES, ("outputs", "encoded_lengths")),
    "decoder_joint": (
        ("encoder_outputs", "targets", "target_length", "input_states_1", "input_states_2"),
        ("outputs", "output_states_1", "output_states_2"),
    ),
    "model": (_FEATURES, ("logprobs",)),
}
_DEFAULTS = {"features_size": 80, "subsampling_factor": 8, "max_tokens_per_step": 10}


def check_onnx_asr(layout: ModelLayout) -> None:
    """Raises ModelUnavailable with the file that is wrong, or that does not fit the others."""
    for role in layout.files:
        _check_names(layout, role)
    _check_features(layout)
    for name in _DEFAULTS:
        setting(layout, name)
    _check_vocabulary(layout)


def setting(layout: ModelLayout, name: str) -> int:
    """A number in config.json, or what onnx-asr takes where it is not there. Raises ModelUnavailable."""
    value = layout.config.get(name, _DEFAULTS[name])
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelUnavailable(
            f"{layout.directory / CONFIG}: {name} must be a positive whole number, is {str(value)[:40]!r}; "
            "fetch the model again"
        )
    return value


def _check_names(layout: ModelLayout, role: str) -> None:
    header = layout.headers[role]
    inputs, outputs = _TENSORS[role]
    missing = [*(set(inputs) - header.inputs.keys()), *(set(outputs) - header.outputs.keys())]
    if missing:
        raise _misfit(
            layout, role, f"has no tensor {', '.join(sorted(missing))}, so it is no {role} of NeMo's"
        )


def _check_features(layout: ModelLayout) -> None:
    role = "encoder" if "encoder" in layout.headers else "model"
    shape, expected = layout.headers[role].inputs["audio_signal"], setting(layout, "features_size")
    if len(shape) != 3 or shape[1] not in {None, expected}:
        raise _misfit(layout, role, f"takes features of shape {shape}, where {CONFIG} says {expected} bins")


def _check_vocabulary(layout: ModelLayout) -> None:
    table = read_tokens(layout.tokens)
    if table.keys() != set(range(len(table))) or table[len(table) - 1] != BLANK:
        raise ModelUnavailable(
            f"{layout.tokens} must number its tokens from 0 on, with <blk> last; fetch the model again"
        )
    role, output = ("model", "logprobs") if layout.family == "nemo-ctc" else ("decoder_joint", "outputs")
    size = layout.headers[role].outputs[output][-1]
    if size is not None and not _fits(size, len(table), layout.config["model_type"]):
        raise _misfit(
            layout, role, f"gives {size} numbers for the {len(table)} tokens of {layout.tokens.name}"
        )


def _fits(size: int, tokens: int, model_type: object) -> bool:
    """A TDT model gives durations behind the tokens."""
    return size > tokens if model_type == "nemo-conformer-tdt" else size == tokens


def _misfit(layout: ModelLayout, role: str, what: str) -> ModelUnavailable:
    return ModelUnavailable(f"{layout.files[role]} {what}; fetch the model again")
