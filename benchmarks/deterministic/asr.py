"""The recognition service without a model: words made from the samples, a word every 0.25 s.

python -m benchmarks.deterministic.asr [--compute-seconds 0.5] [flags of python -m asr_service]
"""

import sys
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_service.config import ENV_PREFIX, AsrConfig
from asr_service.engines.base import NEVER, EngineInfo, Recognition, Samples, Speech, Stop, Token
from asr_service.loading import LoadedModels
from asr_service.servicer import RecognitionService
from asr_service.vad import VoiceActivityDetector
from benchmarks.deterministic.loudness import LoudnessModel
from serving.config import command, option
from serving.metrics import process_registry
from serving.models.roles import RECOGNITION
from serving.server import run
from serving.times import SAMPLE_RATE
from speech.audio.v1.audio_pb2 import ModelInfo

_INFO = EngineInfo(
    family="transducer",
    engine="deterministic",
    provider="cpu",
    languages=(),
    measures_time=True,
    times_drift=False,
    has_confidence=True,
    preferred_seconds=10,
    max_seconds=15,
    max_batch=4,
)
_WORD_SAMPLES = SAMPLE_RATE // 4
# One word in so many ends a sentence.
_SENTENCE_WORDS = 8


@dataclass(frozen=True, kw_only=True)
class DeterministicAsrConfig(AsrConfig):
    compute_seconds: float = option(0.0, "How long it takes to decode a second of audio, in seconds.", min=0)


class HashingEngine:
    """Hears in every 0.25 s of an utterance a word that is their checksum."""

    info = _INFO

    def __init__(self, compute_seconds: float) -> None:
        self._compute_seconds = compute_seconds

    def bucket(self, speech: Speech) -> int:  # noqa: ARG002
        return 0

    def padded(self, speech: Speech) -> float:
        return speech.seconds

    def recognize(self, batch: Sequence[Speech], stop: Stop = NEVER) -> list[Recognition]:
        stopped = threading.Event()
        stop.on_set(stopped.set)
        stopped.wait(self._compute_seconds * sum(speech.seconds for speech in batch))
        stop.check()
        return [heard(speech.samples) for speech in batch]


def heard(samples: Samples) -> Recognition:
    pcm = np.rint(samples * 32_768).astype("<i2")
    words = [pcm[start : start + _WORD_SAMPLES] for start in range(0, len(pcm), _WORD_SAMPLES)]
    return Recognition(tuple(_token(index, zlib.crc32(word.tobytes())) for index, word in enumerate(words)))


def _token(index: int, checksum: int) -> Token:
    stop = "." if checksum % _SENTENCE_WORDS == 0 else ""
    start = index * _WORD_SAMPLES / SAMPLE_RATE
    return Token(f" {checksum:08x}{stop}".encode(), start=start, log_prob=-0.1)


def serve(config: DeterministicAsrConfig) -> int:
    registry = process_registry()
    models = LoadedModels(
        HashingEngine(config.compute_seconds),
        lambda: VoiceActivityDetector(LoudnessModel(config.vad), config.vad),
        (ModelInfo(role=RECOGNITION.name, name=_INFO.engine, engine=_INFO.engine, provider="cpu"),),
    )
    service = RecognitionService(config, lambda: models, registry)
    return run(service, config, registry, line=service.line)


main = command(
    DeterministicAsrConfig, serve, name="benchmarks.deterministic.asr", help=__doc__, env_prefix=ENV_PREFIX
)

if __name__ == "__main__":
    sys.exit(main())
