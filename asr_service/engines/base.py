"""What the rest of the service knows about a recognition model: a batch of speech in, tokens out.

Everything that differs between model families (file layouts, decoders, batching, devices) stays behind
`Engine`; everything that does not (voice activity, utterances, words, fairness between streams) stays outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Family = Literal[
    "whisper",
    "transducer",
    "nemo-transducer",
    "nemo-ctc",
    "zipformer-ctc",
    "moonshine",
    "sense-voice",
    "paraformer",
]
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class EngineInfo:
    """What a loaded model is and what it can say about its words."""

    family: Family
    engine: str
    """What runs it, with its version: "sherpa-onnx 2.0.1"."""
    provider: str
    """Where it runs: "cpu"."""
    languages: tuple[str, ...]
    """BCP-47 tags; empty where the model does not say."""
    measures_time: bool
    """Whether tokens come with start times."""
    times_drift: bool
    """Whether those times wander over silences, as cross-attention's do, and want voice activity's correction."""
    has_confidence: bool
    """Whether tokens come with log-probabilities."""
    preferred_seconds: float
    """The utterance length at which the model makes the fewest errors."""
    max_seconds: float
    """The longest utterance that `recognize` takes."""


@dataclass(frozen=True)
class Speech:
    """One utterance to be recognised."""

    samples: Samples
    """Mono at 16 kHz in [-1, 1), shape (samples,)."""
    language: str | None = None
    """One of `EngineInfo.languages`, or None: the model decides."""
    voiced: tuple[tuple[float, float], ...] = ()
    """Start and end of what voice activity heard in it, in seconds; a hint."""


@dataclass(frozen=True)
class Token:
    """A piece of a word as the model's vocabulary has it."""

    text: bytes
    """UTF-8 with a leading space where a word begins. Bytes, since byte-level vocabularies split characters."""
    start: float | None = None
    """Seconds from the start of the utterance."""
    duration: float | None = None
    """Seconds; only TDT models say."""
    log_prob: float | None = None


@dataclass(frozen=True)
class Recognition:
    """What an engine heard in one utterance."""

    tokens: tuple[Token, ...]


class Engine(Protocol):
    """A loaded model. Safe to call from several threads at once; the streams' state lives with the caller."""

    @property
    def info(self) -> EngineInfo: ...

    def recognize(self, batch: Sequence[Speech]) -> list[Recognition]:
        """Decodes utterances of at most `info.max_seconds` each, and answers in their order.

        Blocks the calling thread; computes without holding the interpreter's lock.
        """
        ...
