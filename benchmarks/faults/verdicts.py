"""What became of an upload: word for word and turn for turn against the undisturbed transcript."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from grpc import StatusCode

from benchmarks.answers import found_turns
from benchmarks.corpus import Turn
from benchmarks.faults.uploads import Caller
from gateway.client import Transcript, TranscriptionError
from speech.gateway.v1 import gateway_pb2


class Kind(enum.Enum):
    COMPLETE = "complete"
    PARTIAL = "partial, and said so"
    FAILED = "failed with a status"
    ENDED = "ended by the caller"
    HUNG = "never ended"
    WRONG = "silently wrong"


@dataclass(frozen=True)
class Verdict:
    """`detail`: the status that a call failed with, or what is wrong. `replayed`: whether a backend was called again."""

    kind: Kind
    detail: str = ""
    replayed: bool = False


@dataclass(frozen=True)
class Said:
    """A word of a transcript; times in nanoseconds."""

    text: str
    start: int
    end: int
    speaker: str

    @property
    def unattributed(self) -> "Said":
        return Said(self.text, self.start, self.end, "")


@dataclass(frozen=True)
class Reference:
    """What a recording's transcript is where nothing goes wrong."""

    words: tuple[Said, ...]
    turns: tuple[Turn, ...]

    @classmethod
    def of(cls, transcript: Transcript) -> "Reference":
        return cls(tuple(said(transcript.segments)), tuple(found_turns(transcript)))


def said(segments: Iterable[gateway_pb2.Segment]) -> list[Said]:
    return [
        Said(word.text, word.start.ToNanoseconds(), word.end.ToNanoseconds(), word.speaker)
        for segment in segments
        for word in segment.words
    ]


def verdict(caller: Caller, reference: Reference, error: BaseException | None) -> Verdict:
    """`error` is what the call raised: TimeoutError where it had to be given up after a long time."""
    wrong = contradiction(caller, reference)
    if wrong:
        return Verdict(Kind.WRONG, wrong)
    match error:
        case TimeoutError():
            return Verdict(Kind.HUNG)
        case TranscriptionError(code=StatusCode.DEADLINE_EXCEEDED) if caller.upload.deadline:
            return Verdict(Kind.ENDED)
        case TranscriptionError(code=code):
            return Verdict(Kind.FAILED, code.name)
        case None:
            return _answered(caller, reference)
        case _:
            raise error


def contradiction(caller: Caller, reference: Reference) -> str:
    """What a caller was told, at any time, that is not so; empty where there is nothing."""
    truth = {word.unattributed for word in reference.words}
    if any(word.unattributed not in truth for word in said(caller.seen)):
        return "a word that nobody said"
    words = [word.unattributed for word in said(caller.transcript.segments)]
    return "" if len(words) == len(set(words)) else "a word twice"


def _answered(caller: Caller, reference: Reference) -> Verdict:
    completed = caller.transcript.completed
    if completed is None:
        cancelled = caller.upload.cancelled_after is not None
        return Verdict(Kind.ENDED) if cancelled else Verdict(Kind.WRONG, "an end without an end")
    failed = [stage.stage for stage in completed.stages if stage.status.code]
    replayed = any(stage.attempts > 1 for stage in completed.stages)
    if bool(failed) != completed.partial or (completed.partial and not caller.upload.accept_partial):
        return Verdict(Kind.WRONG, "partial without saying so, or without being asked to")
    wrong = _difference(caller.transcript, reference, failed)
    if wrong:
        return Verdict(Kind.WRONG, wrong, replayed)
    return Verdict(Kind.PARTIAL if failed else Kind.COMPLETE, replayed=replayed)


def _difference(
    transcript: Transcript, reference: Reference, failed: Sequence[gateway_pb2.Stage.ValueType]
) -> str:
    """From the reference, in the work of stages that did not fail."""
    words, expected = said(transcript.segments), list(reference.words)
    has_words, has_turns = (
        gateway_pb2.STAGE_ASR not in failed,
        gateway_pb2.STAGE_DIARIZATION not in failed,
    )
    if has_words and [word.unattributed for word in words] != [word.unattributed for word in expected]:
        return f"{len(words)} words instead of {len(expected)}, or others"
    if has_turns and found_turns(transcript) != list(reference.turns):
        return "other turns"
    if has_words and has_turns and words != expected:
        return "other speakers"
    return ""
