"""What each family whose tokens belong to encoder frames takes and gives: its features, its encoder's axes, its search."""

from collections.abc import Mapping
from functools import partial

from asr_service.engines.checks import CTC_BLANKS
from asr_service.engines.layout import ModelLayout
from asr_service.engines.onnx_asr_checks import setting
from asr_service.engines.ort.encoder import Signature
from asr_service.engines.ort.features import KaldiFeatures, NemoFeatures, SherpaNemoFeatures
from asr_service.engines.ort.features.kaldi import SILENCE
from asr_service.engines.ort.frame_plans import FramePlan
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.search import CtcSearch, GreedySearch, nemo_search, stateless_search
from asr_service.engines.ort.stages import GraphFrontEnd, Search
from asr_service.engines.tokens import read_tokens
from serving.errors import ModelUnavailable

_ICEFALL_SUBSAMPLING = 4
"""Of all its models; their files do not say."""
_CONFORMER_PADDING = 0.0
"""icefall's Conformer looks one feature frame ahead before it masks, and sees zero where nothing follows an utterance."""
_UNKNOWN = b"<unk>"
"""sherpa-onnx takes it for blank in icefall's transducers."""


def frame_plan(layout: ModelLayout) -> FramePlan:
    """Of a model that passed its checks, and is no Whisper. Raises ModelUnavailable for what this engine does not run."""
    match layout.family:
        case "transducer":
            return _icefall_transducer(layout)
        case "zipformer-ctc":
            return _icefall_ctc(layout)
        case "nemo-transducer":
            return _nemo_transducer(layout)
        case "nemo-ctc":
            return _nemo_ctc(layout)
        case family:
            raise ModelUnavailable(
                f"{layout.directory} holds a {family} model, which the engine ort does not run; choose the engine sherpa"
            )


def _icefall_transducer(layout: ModelLayout) -> FramePlan:
    signature = Signature.of(layout.headers["encoder"], 1, 1, _ICEFALL_SUBSAMPLING)
    is_conformer = layout.headers["encoder"].metadata.get("model_type") == "conformer"
    padding = _CONFORMER_PADDING if is_conformer else SILENCE
    front_end = KaldiFeatures(_size(layout, "encoder", 2) or 80, padding=padding)
    return FramePlan(layout, "encoder", front_end, signature, partial(_transducer_search, layout, signature))


def _icefall_ctc(layout: ModelLayout) -> FramePlan:
    signature = Signature.of(layout.headers["model"], 1, 1, _ICEFALL_SUBSAMPLING)
    front_end = KaldiFeatures(_size(layout, "model", 2) or 80)
    return FramePlan(layout, "model", front_end, signature, partial(_ctc_search, layout, signature))


def _nemo_transducer(layout: ModelLayout) -> FramePlan:
    signature = Signature.of(layout.headers["encoder"], 2, 2, _nemo_subsampling(layout, "encoder"))
    front_end = _nemo_front_end(layout, "encoder", ctc=False)
    return FramePlan(layout, "encoder", front_end, signature, partial(_transducer_search, layout, signature))


def _nemo_ctc(layout: ModelLayout) -> FramePlan:
    signature = Signature.of(layout.headers["model"], 2, 1, _nemo_subsampling(layout, "model"))
    front_end = _nemo_front_end(layout, "model", ctc=True)
    return FramePlan(layout, "model", front_end, signature, partial(_ctc_search, layout, signature))


def _nemo_subsampling(layout: ModelLayout, role: str) -> int:
    if layout.export == "onnx-asr":
        return setting(layout, "subsampling_factor")
    return int(layout.headers[role].metadata["subsampling_factor"])


def _nemo_front_end(layout: ModelLayout, role: str, *, ctc: bool) -> GraphFrontEnd:
    """sherpa-onnx's features for its exports, so that both engines hear the same; NeMo's own for NeMo's."""
    if layout.export == "onnx-asr":
        return NemoFeatures(setting(layout, "features_size"))
    metadata = layout.headers[role].metadata
    if metadata.get("is_giga_am", "0").strip() not in {"", "0"}:
        raise ModelUnavailable(
            f"{layout.files[role]} is a GigaAM model, whose features the engine ort does not compute; choose the engine sherpa"
        )
    said = metadata.get("feat_dim", "").strip()
    bins = int(said) if said.isdigit() else _size(layout, role, 1) or 80
    return SherpaNemoFeatures(bins, ctc=ctc, normalize=metadata["normalize_type"] == "per_feature")


def greedy_search(layout: ModelLayout) -> GreedySearch:
    """Of a transducer, whatever exported it. Raises ModelUnavailable where its files are of no use."""
    tokens = read_tokens(layout.tokens)
    if layout.family == "transducer":
        return stateless_search(
            layout.files["decoder"], layout.files["joiner"], unknown=_id(tokens, _UNKNOWN)
        )
    if layout.export == "onnx-asr":
        most = setting(layout, "max_tokens_per_step")
        return nemo_search(layout.files["decoder_joint"], None, tokens=len(tokens), most=most)
    return nemo_search(layout.files["decoder"], layout.files["joiner"], tokens=len(tokens))


def ctc_blank(layout: ModelLayout) -> int:
    """The token that stands for nothing in a CTC model."""
    tokens = read_tokens(layout.tokens)
    return next(number for symbol in CTC_BLANKS if (number := _id(tokens, symbol)) is not None)


def _transducer_search(layout: ModelLayout, signature: Signature, placement: Placement) -> Search:
    return greedy_search(layout).on(placement, frames=signature.frames_out)


def _ctc_search(layout: ModelLayout, signature: Signature, placement: Placement) -> Search:
    return CtcSearch(placement, logits=signature.frames_out, blank=ctc_blank(layout))


def _id(tokens: Mapping[int, bytes], symbol: bytes) -> int | None:
    return next((number for number, found in tokens.items() if found == symbol), None)


def _size(layout: ModelLayout, role: str, axis: int) -> int | None:
    """Of the features' axis, where the file fixes it."""
    shape = next(iter(layout.headers[role].inputs.values()))
    return shape[axis] if axis < len(shape) else None
