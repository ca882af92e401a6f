"""What each family of models gives Triton: features, encoder, search, texts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx

from asr_service.engines.checks import check
from asr_service.engines.layout import ModelLayout, detect
from asr_service.engines.ort.features import SherpaWhisperFeatures
from asr_service.engines.ort.features.whisper import FRAMES
from asr_service.engines.ort.frame_families import ctc_blank, frame_plan, greedy_search
from asr_service.engines.ort.shapes import FeatureLayout
from asr_service.engines.ort.stages import GraphFrontEnd
from asr_service.engines.ort.weights import is_eight_bit
from asr_service.engines.ort.whisper.decoder import read_decoder
from asr_service.engines.ort.whisper.special_tokens import SpecialTokens, read_texts
from asr_service.engines.tokens import read_tokens, token_texts
from asr_service.spelling import as_written
from asr_service.triton import decoding
from serving.errors import ModelUnavailable

_EXPORTED = ("transducer", "nemo-transducer", "nemo-ctc", "zipformer-ctc", "whisper")

Compose = Callable[[str], onnx.ModelProto]
"""For "cpu" or "cuda"."""


@dataclass(frozen=True)
class Exportable:
    """A recognition model in the parts that a repository has. Nothing of it is loaded yet."""

    layout: ModelLayout
    front_end: GraphFrontEnd
    channels_first: bool
    """Whether the encoder takes (batch, bins, frames)."""
    encoder: Path
    features: str
    """The encoder's input that takes them, and the one that takes their numbers of frames."""
    lengths: str | None
    encoded: Mapping[str, str]
    """Outputs of the encoder that the search takes, by its inputs' names, but for its lengths."""
    encoded_lengths: str | None
    """The encoder's output; where it has none, the search takes numbers of feature frames."""
    search: Compose
    texts: Mapping[int, bytes]
    rows_second: bool = False
    """Whether the encoder gives (layers, batch, …)."""

    @property
    def feature_layout(self) -> FeatureLayout:
        return FeatureLayout(self.front_end.bins, 2 if self.channels_first else 1, self.front_end.frames)

    @property
    def written(self) -> list[bytes]:
        """What each token adds to a running text."""
        family = self.layout.family
        return [as_written(self.texts.get(token, b""), family) for token in range(max(self.texts) + 1)]


def exportable(directory: Path, language: str | None) -> Exportable:
    """`language` is for Whisper's multilingual models alone. Raises ModelUnavailable for what cannot be exported."""
    layout = detect(directory, "fp32")
    if layout.family not in _EXPORTED:
        raise ModelUnavailable(
            f"{directory} holds a {layout.family} model, of which there are no graphs for Triton; there are of "
            f"{', '.join(_EXPORTED)}"
        )
    check(layout)
    for path in layout.files.values():
        if path.suffix == ".onnx" and is_eight_bit(path):
            raise ModelUnavailable(
                f"{path} has weights in 8 bits, with which utterances of a batch would change each other and TensorRT cannot "
                "be used; name a folder with the model's fp32 files"
            )
    if layout.family == "whisper":
        return _whisper(layout, language)
    if language:
        raise ModelUnavailable(
            f"{directory} is no Whisper model: --language says nothing to a {layout.family} model"
        )
    return _frame_synchronous(layout)


def _frame_synchronous(layout: ModelLayout) -> Exportable:
    plan = frame_plan(layout)
    signature = plan.signature
    if layout.family in {"nemo-ctc", "zipformer-ctc"}:
        ctc = decoding.ctc(signature, ctc_blank(layout))

        def search(_device: str) -> onnx.ModelProto:
            return ctc

    else:
        search = partial(decoding.transducer, signature, greedy_search(layout))
    return Exportable(
        layout=layout,
        front_end=plan.front_end,
        channels_first=signature.time_axis == 2,
        encoder=plan.encoder,
        features=signature.features,
        lengths=signature.lengths,
        encoded={decoding.ENCODED: signature.frames_out},
        encoded_lengths=signature.lengths_out,
        search=search,
        texts=token_texts(read_tokens(layout.tokens)),
    )


def _whisper(layout: ModelLayout, language: str | None) -> Exportable:
    metadata = layout.headers["encoder"].metadata
    special = SpecialTokens.from_metadata(metadata)
    prompt = _prompt(layout, special, language)
    encoder = layout.headers["encoder"]
    (features, *_), (keys, values, *_) = encoder.inputs, encoder.outputs

    def search(_device: str) -> onnx.ModelProto:
        decoder = read_decoder(layout.files["decoder"], metadata)
        return decoding.whisper(decoder, metadata, prompt, special.end)

    return Exportable(
        layout=layout,
        front_end=SherpaWhisperFeatures(int(metadata["n_mels"]), tail=FRAMES),
        channels_first=True,
        encoder=layout.files["encoder"],
        features=features,
        lengths=None,
        encoded={decoding.KEYS: keys, decoding.VALUES: values},
        encoded_lengths=None,
        search=search,
        texts=read_texts(layout.tokens, metadata),
        rows_second=True,
    )


def _prompt(layout: ModelLayout, special: SpecialTokens, language: str | None) -> list[int]:
    known = sorted(special.languages) or ["en"]
    if (language or known[0]) not in known or (language is None and len(known) > 1):
        raise ModelUnavailable(
            f"{layout.directory} is to recognise one language, which --language names: {', '.join(known)}"
        )
    (prompt,) = special.prompts([language or known[0]]).tolist()
    return list(prompt)
