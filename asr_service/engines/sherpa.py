"""The CPU engine: sherpa-onnx's OfflineRecognizer for every offline family whose tokens become words here."""

import json
import threading
from array import array
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import sherpa_onnx

from asr_service.engines.base import NEVER, EngineInfo, Family, Recognition, Samples, Speech, Stop, Token
from asr_service.engines.checks import check
from asr_service.engines.layout import ModelLayout, Precision, detect
from asr_service.engines.traits import TRAITS
from serving.errors import ModelUnavailable
from serving.times import SAMPLE_RATE

# Some front ends stack seven frames of 10 ms, and convolutions want a few of those: shorter audio gets silence behind.
_MIN_SAMPLES = SAMPLE_RATE // 2

_ANY_LANGUAGE = ""
_MOST_COPIES = 4
_SENSE_VOICE_LANGUAGES = ("zh", "en", "ja", "ko", "yue")


# sherpa-onnx gives no probabilities of the others' tokens.
_CONFIDENT: frozenset[Family] = frozenset({"transducer", "nemo-transducer"})


class SherpaEngine:
    """A model in one of sherpa-onnx's offline layouts, shared by all threads.

    Its batches gain nothing on CPUs (sherpa-onnx decodes most families one utterance after the other),
    so `recognize` is best called with one utterance from several threads.
    """

    def __init__(self, directory: Path, *, precision: Precision, threads: int) -> None:
        layout = detect(directory, precision)
        if layout.export != "sherpa-onnx":
            raise ModelUnavailable(
                f"{directory} holds a model as {layout.export} publishes it, which sherpa-onnx does not read; "
                "choose the engine ort, or fetch the model in sherpa-onnx's layout"
            )
        check(layout)
        self._build = _builder(layout, threads)
        self._lock = threading.Lock()
        self._recognizers: dict[str, Any] = {}
        self.info = _info(layout)
        self._warm(layout)

    def _warm(self, layout: ModelLayout) -> None:
        """Loads the weights and lets ONNX Runtime set up its arenas before the first caller waits for it."""
        try:
            self.recognize([Speech(np.zeros(SAMPLE_RATE, np.float32))])
        except RuntimeError as error:  # metadata that contradict the graph show only when it runs
            raise _unusable("run", layout, error) from error

    def bucket(self, speech: Speech) -> int:  # noqa: ARG002 - no utterance is padded to another's length
        return 0

    def padded(self, speech: Speech) -> float:
        return speech.seconds

    def recognize(self, batch: Sequence[Speech], stop: Stop = NEVER) -> list[Recognition]:
        return [self._recognize(speech, stop) for speech in batch]

    def _recognize(self, speech: Speech, stop: Stop) -> Recognition:
        stop.check()
        recognizer = self._recognizer(speech.language)
        stream = recognizer.create_stream()
        # Converted item by item under the interpreter's lock: 5 ms for 25 s as an array, 14 ms as ndarray.
        stream.accept_waveform(SAMPLE_RATE, array("f", _padded(speech.samples).tobytes()))
        recognizer.decode_stream(stream)
        return Recognition(_tokens(stream.result))

    def _recognizer(self, language: str | None) -> Any:
        """Whisper's and SenseVoice's language is fixed when they are loaded: one copy of the weights a language."""
        key = language if language and len(self.info.languages) > 1 else _ANY_LANGUAGE
        with self._lock:
            recognizer = self._recognizers.pop(key, None) or self._build(key)
            self._recognizers[key] = recognizer
            if len(self._recognizers) > _MOST_COPIES:
                # The one that was used longest ago; who decodes with it keeps it until the end.
                del self._recognizers[next(iter(self._recognizers))]
            return recognizer


def _padded(samples: Samples) -> Samples:
    return np.pad(samples, (0, max(0, _MIN_SAMPLES - len(samples))))


def _tokens(result: Any) -> tuple[Token, ...]:
    """Lines up what the result has: all of the lists are empty where a model does not give them."""
    pieces = _token_bytes(result)
    rows = zip_longest(pieces, result.timestamps, result.durations, result.ys_log_probs)
    return tuple(Token(text, start, duration, log_prob) for text, start, duration, log_prob in rows if text)


def _token_bytes(result: Any) -> list[bytes]:
    """Byte-level vocabularies split characters; pybind11 then refuses to make strings of the halves.

    The refused bytes are in the exception: the whole result as JSON.
    """
    try:
        return [_unescaped(token.encode()) for token in result.tokens]
    except UnicodeDecodeError:
        pass
    try:
        return [token.encode() for token in json.loads(str(result), strict=False)["tokens"]]
    except UnicodeDecodeError as refused:
        raw = refused.object.decode("utf-8", "surrogateescape")
        tokens: list[str] = json.loads(raw, strict=False)["tokens"]
        return [token.encode("utf-8", "surrogateescape") for token in tokens]


def _unescaped(token: bytes) -> bytes:
    """sherpa-onnx writes a token of a single byte outside ASCII as <0xE4>."""
    if len(token) == 6 and token.startswith(b"<0x") and token.endswith(b">"):
        return bytes.fromhex(token[3:5].decode())
    return token


def _info(layout: ModelLayout) -> EngineInfo:
    traits = TRAITS[layout.family]
    is_whisper = layout.family == "whisper"
    return EngineInfo(
        family=layout.family,
        engine=f"sherpa-onnx {version('sherpa-onnx')}",
        provider="cpu",
        languages=_languages(layout),
        measures_time=_measures_time(layout),
        times_drift=is_whisper,
        has_confidence=layout.family in _CONFIDENT,
        preferred_seconds=traits.preferred_seconds,
        max_seconds=traits.max_seconds,
    )


def _languages(layout: ModelLayout) -> tuple[str, ...]:
    if layout.family == "sense-voice":
        return _SENSE_VOICE_LANGUAGES
    if layout.family != "whisper":
        return ()
    metadata = layout.headers["encoder"].metadata
    if metadata["is_multilingual"] == "0":
        return ("en",)
    return tuple(code.strip() for code in metadata["all_language_codes"].split(","))


def _measures_time(layout: ModelLayout) -> bool:
    if layout.family == "whisper":
        return _has_cross_attention(layout)
    if layout.family == "paraformer":
        # BiCIF exports add us_alphas and us_cif_peak.
        return len(layout.headers["model"].outputs) == 4
    return layout.family != "moonshine"


def _has_cross_attention(layout: ModelLayout) -> bool:
    """Token times come from the decoder's fourth output, which older exports lack."""
    return len(layout.headers["decoder"].outputs) > 3


def _builder(layout: ModelLayout, threads: int) -> Callable[[str], Any]:
    def build(language: str) -> Any:
        factory, arguments = _factory(layout, language)
        try:
            return factory(**arguments, tokens=str(layout.tokens), num_threads=threads, provider="cpu")
        except (RuntimeError, ValueError) as error:
            raise _unusable("load", layout, error) from error

    return build


def _unusable(step: str, layout: ModelLayout, error: Exception) -> ModelUnavailable:
    return ModelUnavailable(
        f"sherpa-onnx cannot {step} the {layout.family} model in {layout.directory} ({error}); fetch the model again"
    )


def _factory(layout: ModelLayout, language: str) -> tuple[Callable[..., Any], dict[str, Any]]:  # noqa: PLR0911 - a table
    recognizer = sherpa_onnx.OfflineRecognizer
    files = {role: str(path) for role, path in layout.files.items()}
    match layout.family:
        case "transducer":
            return recognizer.from_transducer, files
        case "nemo-transducer":
            return recognizer.from_transducer, files | {"model_type": "nemo_transducer"}
        case "nemo-ctc":
            return recognizer.from_nemo_ctc, files
        case "zipformer-ctc":
            return recognizer.from_zipformer_ctc, files
        case "sense-voice":
            return recognizer.from_sense_voice, files | {"language": language, "use_itn": True}
        case "paraformer":
            return recognizer.from_paraformer, {"paraformer": files["model"]}
        case "whisper":
            return recognizer.from_whisper, files | {
                "language": language,
                "enable_token_timestamps": _has_cross_attention(layout),
            }
        case "moonshine":
            return _moonshine(files)


def _moonshine(files: dict[str, str]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Two generations: four ONNX files, or an encoder and a merged decoder."""
    recognizer = sherpa_onnx.OfflineRecognizer
    if "merged_decoder" in files:
        return recognizer.from_moonshine_v2, {"encoder": files["encoder"], "decoder": files["merged_decoder"]}
    return recognizer.from_moonshine, {
        "preprocessor": files["preprocess"],
        **{role: files[role] for role in ("encoder", "uncached_decoder", "cached_decoder")},
    }
