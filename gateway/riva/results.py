"""Segments as Riva's results."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from unicodedata import category

from google.protobuf.duration_pb2 import Duration
from riva.client.proto.riva_asr_pb2 import (
    RecognitionConfig,
    SpeechRecognitionAlternative,
    SpeechRecognitionResult,
    StreamingRecognitionResult,
    WordInfo,
)

from serving.times import seconds
from speech.gateway.v1 import gateway_pb2

# All channels are mixed down to one.
_CHANNEL = 1

# The words of an interim result are as they will be; who said them is not certain.
_STABLE = 1.0

# Punctuation that belongs to a word: "'cause", "100%", "-5".
_BELONGING = "'\u2019%&@#-"


@dataclass(frozen=True)
class Rendering:
    """What a caller wants to be told of a segment."""

    words: bool
    times: bool
    speakers: bool
    punctuation: bool

    @classmethod
    def of(cls, config: RecognitionConfig) -> "Rendering":
        speakers = config.diarization_config.enable_speaker_diarization
        return cls(
            words=config.enable_word_time_offsets or speakers,
            times=config.enable_word_time_offsets,
            speakers=speakers,
            punctuation=config.enable_automatic_punctuation,
        )

    def whole(
        self, segments: Sequence[gateway_pb2.Segment], processed: float
    ) -> list[SpeechRecognitionResult]:
        """The results of a recording of `processed` seconds."""
        return [
            SpeechRecognitionResult(
                alternatives=[alternative], channel_tag=_CHANNEL, audio_processed=processed
            )
            for segment in segments
            if (alternative := self._alternative(segment))
        ]

    def streamed(
        self, segments: Sequence[gateway_pb2.Segment], processed: float
    ) -> list[StreamingRecognitionResult]:
        """Final ones are final, others interim; `processed` is how many seconds recognition has heard."""
        return [
            StreamingRecognitionResult(
                alternatives=[alternative],
                is_final=segment.speaker_final,
                stability=0.0 if segment.speaker_final else _STABLE,
                channel_tag=_CHANNEL,
                audio_processed=max(processed, seconds(segment.span.end)),
            )
            for segment in segments
            if (alternative := self._alternative(segment))
        ]

    def _alternative(self, segment: gateway_pb2.Segment) -> SpeechRecognitionAlternative | None:
        """None where there is nothing but punctuation, and none is wanted.

        Transcripts end with a space, since Riva's clients join them as they are.
        """
        spoken = [(text, word) for word in segment.words if (text := self._text(word))]
        if not spoken:
            return None
        return SpeechRecognitionAlternative(
            transcript=" ".join(text for text, _ in spoken) + " ",
            confidence=_confidence([word for _, word in spoken]),
            words=[self._word(text, word) for text, word in spoken] if self.words else (),
        )

    def _text(self, word: gateway_pb2.AttributedWord) -> str:
        return word.text if self.punctuation else _bare(word.text)

    def _word(self, text: str, word: gateway_pb2.AttributedWord) -> WordInfo:
        return WordInfo(
            word=text,
            start_time=_milliseconds(word.start) if self.times else 0,
            end_time=_milliseconds(word.end) if self.times else 0,
            confidence=word.confidence,
            speaker_tag=speaker_tag(word.speaker) if self.speakers else 0,
        )


def _bare(word: str) -> str:
    """Without the punctuation around it; empty where that is all."""
    if not any(character.isalnum() for character in word):
        return ""
    marks = {mark for mark in word if category(mark).startswith("P") and mark not in _BELONGING}
    return word.strip("".join(marks)) if marks else word


def speaker_tag(label: str) -> int:
    """1 for SPEAKER_00, and 0 for nobody who is known."""
    return int(label.rpartition("_")[2]) + 1 if label else 0


def _confidence(words: Sequence[gateway_pb2.AttributedWord]) -> float:
    """The words' mean; 0, which says nothing, where one has none."""
    if not all(word.HasField("confidence") for word in words):
        return 0.0
    return fmean(word.confidence for word in words)


def _milliseconds(time: Duration) -> int:
    return round(time.ToNanoseconds() / 1_000_000)
