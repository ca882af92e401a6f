"""What the parts of a call report to the one that merges and answers. Times are nanoseconds, as in `gateway.merge`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from google.rpc import status_pb2

from gateway.merge import TurnsPatch, Word
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2

Stage: TypeAlias = "gateway_pb2.Stage.ValueType"


@dataclass(frozen=True)
class Uploaded:
    """The whole recording is decoded; `duration` is its length."""

    duration: int


@dataclass(frozen=True)
class Progress:
    """How far a stage has come: up to a time, or by a share of the whole work. A later one replaces it."""

    stage: Stage
    processed: int = 0
    fraction: float = 0.0


@dataclass(frozen=True)
class Models:
    """A backend took the recording; these models will work on it."""

    stage: Stage
    models: Sequence[audio_pb2.ModelInfo]


@dataclass(frozen=True)
class Words:
    """New words of one utterance."""

    words: tuple[Word, ...]


@dataclass(frozen=True)
class Retrying:
    """A call failed, and another is going to be made."""

    stage: Stage
    status: status_pb2.Status
    attempts: int


@dataclass(frozen=True)
class Completed:
    """A backend did all of its work; all but `timing` of diarization only."""

    timing: audio_pb2.StageTiming
    speakers: tuple[str, ...] = ()
    voices: tuple[diarization_pb2.SpeakerVoice, ...] = ()
    overlaps: tuple[audio_pb2.TimeSpan, ...] = ()


@dataclass(frozen=True)
class Ended:
    """Nothing more comes from a stage: it completed, or failed for good with `status`."""

    stage: Stage
    attempts: int
    completed: Completed | None = None
    status: status_pb2.Status = field(default_factory=status_pb2.Status)


# What a backend's answer means.
Result: TypeAlias = Models | Words | TurnsPatch | Progress | Completed
# What has to be dealt with, in order.
Fact: TypeAlias = Uploaded | Models | Words | TurnsPatch | Retrying | Ended
