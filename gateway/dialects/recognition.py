"""Recognition's answers: words, each delivered once however many calls it takes."""

from collections.abc import Iterator

from gateway.dialects.dialect import PCM
from gateway.merge import Word
from gateway.reports import Completed, Models, Progress, Result, Stage, Words
from speech.asr.v1 import asr_pb2
from speech.audio.v1 import audio_pb2
from speech.gateway.v1 import gateway_pb2


class RecognitionDialect:
    """Speaks with speech.asr.v1. Words that an earlier call delivered are not delivered again.

    A replica that cuts the recording as the earlier one did, which the same models do, goes on exactly where that one
    stopped. Of another cut, words count whose middle lies behind the last utterance that was delivered.
    """

    stage: Stage = gateway_pb2.STAGE_ASR
    name = "speech recognition"

    def __init__(self, request_id: str, language: str) -> None:
        self._config = asr_pb2.RecognitionConfig(audio_format=PCM, request_id=request_id, language=language)
        self._spans: list[tuple[int, int]] = []
        self._position = 0
        self._same_cut = True
        self._delivered_until = 0
        self._delivered_before = 0

    def config(self) -> asr_pb2.RecognizeRequest:
        return asr_pb2.RecognizeRequest(config=self._config)

    def audio(self, pcm: bytes) -> asr_pb2.RecognizeRequest:
        return asr_pb2.RecognizeRequest(audio=pcm)

    def end(self) -> asr_pb2.RecognizeRequest:
        return asr_pb2.RecognizeRequest(end_of_audio=audio_pb2.EndOfAudio())

    def restart(self) -> None:
        self._position = 0
        self._delivered_before = self._delivered_until

    def results(self, response: asr_pb2.RecognizeResponse) -> Iterator[Result]:
        match response.WhichOneof("message"):
            case "started":
                yield Models(self.stage, response.started.models)
            case "utterance":
                if words := self._new_words(response.utterance):
                    yield Words(words)
            case "progress":
                yield Progress(self.stage, processed=response.progress.processed.ToNanoseconds())
            case "completed":
                yield Completed(response.completed.timing)

    def _new_words(self, utterance: asr_pb2.Utterance) -> tuple[Word, ...]:
        span = utterance.span.start.ToNanoseconds(), utterance.span.end.ToNanoseconds()
        words = tuple(_word(word) for word in utterance.words if word.text)
        replayed = self._position < len(self._spans)
        if replayed and self._same_cut:
            self._same_cut = self._spans[self._position] == span
        self._position += 1
        if replayed and self._same_cut:
            return ()
        self._delivered_until = max(self._delivered_until, span[1])
        if self._same_cut:
            self._spans.append(span)
            return words
        return tuple(word for word in words if (word.start + word.end) / 2 >= self._delivered_before)


def _word(word: asr_pb2.Word) -> Word:
    confidence = word.confidence if word.HasField("confidence") else None
    return Word(
        word.text, word.start.ToNanoseconds(), word.end.ToNanoseconds(), confidence, timing=word.timing
    )
