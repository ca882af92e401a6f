"""From what an engine heard in an utterance to words with times and confidence: pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from asr_service import timing
from asr_service.engines.base import EngineInfo, Recognition, Token
from asr_service.spelling import SpelledWord, spell
from asr_service.utterances import Utterance
from serving.times import SAMPLE_RATE


@dataclass(frozen=True)
class Word:
    text: str
    start: float
    """Seconds from the start of the recording."""
    end: float
    confidence: float | None
    """Exponential of the mean log-probability of its tokens, 0 to 1."""
    is_measured: bool
    """Whether the model measured the times, or they were spread over the voiced time."""


@dataclass(frozen=True)
class Transcript:
    """What was said in one utterance."""

    text: str
    words: tuple[Word, ...]


def transcribe(recognition: Recognition, utterance: Utterance, info: EngineInfo) -> Transcript:
    tokens = recognition.tokens
    text, spelled = spell(tokens, info.family)
    is_measured = info.measures_time and all(token.start is not None for token in tokens)
    spans = _spans(spelled, tokens, utterance, info) if is_measured else _estimated(spelled, utterance)
    offset = utterance.start / SAMPLE_RATE
    return Transcript(
        text,
        tuple(
            Word(word.text, offset + span.start, offset + span.end, _confidence(word, tokens), is_measured)
            for word, span in zip(spelled, spans, strict=True)
        ),
    )


def _spans(
    words: Sequence[SpelledWord], tokens: Sequence[Token], utterance: Utterance, info: EngineInfo
) -> list[timing.Span]:
    fit = timing.corrected if info.times_drift else timing.measured
    return fit(words, tokens, _regions(utterance), _length(utterance))


def _estimated(words: Sequence[SpelledWord], utterance: Utterance) -> list[timing.Span]:
    return timing.estimated(words, _regions(utterance), _length(utterance))


def _regions(utterance: Utterance) -> list[timing.Span]:
    return [timing.Span(start, end) for start, end in utterance.voiced]


def _length(utterance: Utterance) -> float:
    return len(utterance.samples) / SAMPLE_RATE


def _confidence(word: SpelledWord, tokens: Sequence[Token]) -> float | None:
    known = [log_prob for index in word.tokens if (log_prob := tokens[index].log_prob) is not None]
    return min(1.0, math.exp(sum(known) / len(known))) if known else None
