"""Small speech recognition models in the file layouts that sherpa-onnx reads, made in milliseconds.

Real graphs with the names, types, shapes and metadata of the exports, and weights that make their output predictable: each
burst of sound (`bursts`) is answered with the next piece of a fixed phrase (`phrase`), at the time when it begins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asr_service.engines import EngineName
from support.tiny_models import ctc, lfr, moonshine, nemo, transducer, whisper
from support.tiny_models.phrase import Vocabulary, words
from support.tiny_models.sound import BURST_SECONDS, bursts

__all__ = ["BURST_SECONDS", "MODELS", "TinyModel", "bursts", "words"]


@dataclass(frozen=True)
class TinyModel:
    name: str
    family: str
    write: Callable[[Path], None]
    """Writes the model into a directory that exists."""
    vocabulary: Vocabulary
    frame: float | None = None
    """Seconds between the times that a token can have; None where tokens have no times."""
    says_probabilities: bool = False
    """Through sherpa-onnx; ort says them of all."""
    engines: tuple[EngineName, ...] = ("sherpa", "ort")


_SHERPA: tuple[EngineName, ...] = ("sherpa",)
_ORT: tuple[EngineName, ...] = ("ort",)

MODELS = {
    model.name: model
    for model in (
        TinyModel(
            "transducer",
            "transducer",
            transducer.write,
            transducer.VOCABULARY,
            frame=0.04,
            says_probabilities=True,
        ),
        TinyModel(
            "rnnt", "nemo-transducer", nemo.write, nemo.VOCABULARY, frame=0.08, says_probabilities=True
        ),
        TinyModel(
            "tdt",
            "nemo-transducer",
            partial(nemo.write, tdt=True),
            nemo.VOCABULARY,
            frame=0.08,
            says_probabilities=True,
        ),
        TinyModel("nemo-ctc", "nemo-ctc", ctc.write_nemo, ctc.NEMO_VOCABULARY, frame=0.08),
        TinyModel(
            "zipformer-ctc", "zipformer-ctc", ctc.write_zipformer, ctc.ZIPFORMER_VOCABULARY, frame=0.04
        ),
        TinyModel(
            "rnnt-of-onnx-asr",
            "nemo-transducer",
            nemo.write_onnx_asr,
            nemo.VOCABULARY,
            frame=0.08,
            engines=_ORT,
        ),
        TinyModel(
            "tdt-of-onnx-asr",
            "nemo-transducer",
            partial(nemo.write_onnx_asr, tdt=True),
            nemo.VOCABULARY,
            frame=0.08,
            engines=_ORT,
        ),
        TinyModel(
            "ctc-of-onnx-asr",
            "nemo-ctc",
            ctc.write_onnx_asr,
            ctc.NEMO_VOCABULARY,
            frame=0.08,
            engines=_ORT,
        ),
        TinyModel("moonshine-v1", "moonshine", moonshine.write, moonshine.VOCABULARY, engines=_SHERPA),
        TinyModel("moonshine-v2", "moonshine", moonshine.write_merged, moonshine.VOCABULARY, engines=_SHERPA),
        TinyModel(
            "sense-voice",
            "sense-voice",
            lfr.write_sense_voice,
            lfr.SENSE_VOICE,
            frame=0.06,
            engines=_SHERPA,
        ),
        TinyModel("paraformer", "paraformer", lfr.write_paraformer, lfr.PARAFORMER, engines=_SHERPA),
        TinyModel(
            "paraformer-bicif",
            "paraformer",
            partial(lfr.write_paraformer, timestamps=True),
            lfr.PARAFORMER,
            frame=0.06,
            engines=_SHERPA,
        ),
        TinyModel("whisper", "whisper", whisper.write, whisper.vocabulary(), frame=0.02),
        TinyModel(
            "whisper-multilingual",
            "whisper",
            partial(whisper.write, languages=("en", "de")),
            whisper.vocabulary(("en", "de")),
            frame=0.02,
        ),
        TinyModel(
            "whisper-without-attention",
            "whisper",
            partial(whisper.write, cross_attention=False),
            whisper.vocabulary(),
        ),
    )
}
