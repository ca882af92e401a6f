"""What Whisper's decoder makes of an encoder's outputs, by which the encoder is judged."""

from collections.abc import Sequence
from pathlib import Path

from onnxruntime import OrtValue

from asr_service.engines.onnx_header import read_header
from asr_service.engines.ort.gate import Tokens
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.whisper.search import WhisperSearch
from asr_service.engines.ort.whisper.special_tokens import read_texts
from serving.cores import cores
from workbench.recipe import Arrays

# More than half a minute of real speech mostly says, and an end to what other sound would make it repeat.
_MOST_TOKENS = 100


class DecoderSearch:
    """Greedy, on the CPU, with the decoder and the tokens of a folder in sherpa-onnx's layout."""

    def __init__(self, model: Path) -> None:
        metadata = read_header(model / "encoder.onnx").metadata
        self._search = WhisperSearch(model / "decoder.onnx", metadata, Placement(threads=cores()))
        self._texts = read_texts(model / "tokens.txt", metadata)

    def tokens(self, outputs: Arrays) -> Tokens:
        encoded = [OrtValue.ortvalue_from_numpy(value) for value in outputs.values()]
        return self._search.tokens(encoded, _MOST_TOKENS)

    def text(self, tokens: Sequence[int]) -> str:
        return b"".join(self._texts[token] for token in tokens).decode(errors="replace")
