"""Recognition's answers: words, each delivered once however many calls it takes."""

from collections.abc import Iterator

from gateway.dialects.account import Account, Garbled
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
    method = "speech.asr.v1.SpeechRecognition/Recognize"

    def __init__(self, request_id: str, language: str) -> None:
        self._config = asr_pb2.RecognitionConfig(audio_format=PCM, request_id=request_id, language=language)
        self._account = Account()
        self._spans: list[tuple[int, int]] = []
        self._same_cut = True
        self._delivered_until = 0
        self._delivered_before = 0

    def config(self) -> asr_pb2.RecognizeRequest:
        return asr_pb2.RecognizeRequest(config=self._config)

    def audio(self, pcm: bytes) -> asr_pb2.RecognizeRequest:
        self._account.sent(pcm)
        return asr_pb2.RecognizeRequest(audio=pcm)

    def end(self) -> asr_pb2.RecognizeRequest:
        self._account.sent_all()
        return asr_pb2.RecognizeRequest(end_of_audio=audio_pb2.EndOfAudio())

    def restart(self) -> None:
        self._account = Account()
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
                self._check_completed(response.completed)
                yield Completed(response.completed.timing)

    def _new_words(self, utterance: asr_pb2.Utterance) -> tuple[Word, ...]:
        span = utterance.span.start.ToNanoseconds(), utterance.span.end.ToNanoseconds()
        words = tuple(_word(word) for word in utterance.words if word.text)
        position = self._account.utterances
        self._account.utterance(utterance.index)
        replayed = position < len(self._spans)
        if replayed and self._same_cut:
            self._same_cut = self._spans[position] == span
        if replayed and self._same_cut:
            return ()
        self._delivered_until = max(self._delivered_until, span[1])
        if self._same_cut:
            self._spans.append(span)
            return words
        return tuple(word for word in words if (word.start + word.end) / 2 >= self._delivered_before)

    def _check_completed(self, completed: asr_pb2.RecognitionCompleted) -> None:
        self._account.completed(completed.timing)
        if completed.utterances != self._account.utterances:
            raise Garbled(f"{self._account.utterances} utterances came of {completed.utterances}")


def _word(word: asr_pb2.Word) -> Word:
    start, end = word.start.ToNanoseconds(), word.end.ToNanoseconds()
    if not 0 <= start <= end:
        raise Garbled("a word ended before it began")
    confidence = word.confidence if word.HasField("confidence") else None
    return Word(word.text, start, end, confidence, timing=word.timing)
