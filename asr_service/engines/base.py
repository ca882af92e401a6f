"""What the rest of the service knows about a recognition model: a batch of speech in, tokens out.

Everything that differs between model families (file layouts, decoders, batching, devices) stays behind
`Engine`; everything that does not (voice activity, utterances, words, fairness between streams) stays outside.
"""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from serving.times import SAMPLE_RATE

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
    max_batch: int = 1
    """The most utterances that `recognize` takes at once, and likes to; 1 where batches gain nothing."""
    max_batch_seconds: float = math.inf
    """Audio in a batch of several from which on it gains nothing, but its callers wait."""
    parallel: int = 0
    """Batches that it likes to have computed at once; 0 is as many as the cores have threads for."""
    provider_reason: str = ""
    """Why it runs there; empty where there was no choice."""


@dataclass(frozen=True)
class Speech:
    """One utterance to be recognised."""

    samples: Samples
    """Mono at 16 kHz in [-1, 1), shape (samples,)."""
    language: str | None = None
    """One of `EngineInfo.languages`, or None: the model decides."""
    voiced: tuple[tuple[float, float], ...] = ()
    """Start and end of what voice activity heard in it, in seconds; a hint."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


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


class Stopped(Exception):  # noqa: N818 - named after what happened, not after a fault
    """A `recognize` call ended early, as its `Stop` asked."""


class Stop:
    """Asks one `recognize` call to end early. Any thread may set it, once and for good."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._callbacks: list[Callable[[], None]] = []

    @property
    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Runs what `on_set` was given, in this thread."""
        with self._lock:
            self._is_set = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_set(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once when it is set, or now if it is already; it must be quick and harmless after the call's end."""
        with self._lock:
            if not self._is_set:
                self._callbacks.append(callback)
                return
        callback()

    def check(self) -> None:
        """Raises Stopped once it is set."""
        if self._is_set:
            raise Stopped


class _Never(Stop):
    """Shared by all calls that nobody stops, so it keeps nothing of theirs."""

    def set(self) -> None:
        raise RuntimeError("NEVER is shared by all calls; give the one that may be stopped a Stop of its own")

    def on_set(self, callback: Callable[[], None]) -> None: ...


NEVER: Stop = _Never()


class Engine(Protocol):
    """A loaded model. Safe to call from several threads at once; the streams' state lives with the caller."""

    @property
    def info(self) -> EngineInfo: ...

    def bucket(self, speech: Speech) -> int:
        """Only utterances of equal bucket may share a batch; a smaller bucket holds shorter ones."""
        ...

    def padded(self, speech: Speech) -> float:
        """Seconds of audio that are computed for it in a batch of its bucket, never less than its own."""
        ...

    def recognize(self, batch: Sequence[Speech], stop: Stop = NEVER) -> list[Recognition]:
        """Decodes at most `info.max_batch` utterances of one bucket, of at most `info.max_seconds` each, and answers in
        their order.

        Blocks the calling thread; computes without holding the interpreter's lock. Raises Stopped soon after `stop` is set.
        """
        ...
