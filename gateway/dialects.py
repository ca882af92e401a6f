"""What the gateway says to each backend, and what their answers mean.

A dialect belongs to one recording and lives through all calls made for it: what an earlier call delivered stays
delivered, and a later one, which starts from the beginning of the recording, is matched against it.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from gateway.continuation import Continuation
from gateway.merge import FOREVER, Turn, TurnsPatch, Word
from gateway.reports import Completed, Models, Progress, Result, Stage, Words
from serving.times import SAMPLE_RATE
from speech.asr.v1 import asr_pb2
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2

ResponseT_contra = TypeVar("ResponseT_contra", contravariant=True)
RequestT_co = TypeVar("RequestT_co", covariant=True)

# Behind the gateway's decoder all audio is the same.
PCM = audio_pb2.AudioFormat(
    pcm=audio_pb2.PcmFormat(encoding=audio_pb2.PCM_ENCODING_S16LE, sample_rate_hz=SAMPLE_RATE, channels=1)
)


class Dialect(Protocol[RequestT_co, ResponseT_contra]):
    """How to speak with one kind of backend."""

    @property
    def stage(self) -> Stage: ...

    @property
    def name(self) -> str:
        """What callers know the stage as."""

    def config(self) -> RequestT_co: ...

    def audio(self, pcm: bytes) -> RequestT_co: ...

    def end(self) -> RequestT_co: ...

    def restart(self) -> None:
        """Answers from here on are another call's, from the start of the recording."""

    def results(self, response: ResponseT_contra) -> Iterator[Result]:
        """What is new in an answer."""


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


class DiarizationDialect:
    """Speaks with speech.diarization.v1. Turns that an earlier call declared final stay; a later call continues them.

    Early ones stay as well, until the later call has come as far.
    """

    stage: Stage = gateway_pb2.STAGE_DIARIZATION
    name = "speaker diarization"

    def __init__(
        self, request_id: str, speakers: diarization_pb2.SpeakerHints, *, embeddings: bool = False
    ) -> None:
        self._config = diarization_pb2.DiarizationConfig(
            audio_format=PCM, request_id=request_id, speakers=speakers, speaker_embeddings=embeddings
        )
        self._known_until = 0
        self._final_until = 0
        self._continuation: Continuation | None = None

    def config(self) -> diarization_pb2.DiarizeRequest:
        return diarization_pb2.DiarizeRequest(config=self._config)

    def audio(self, pcm: bytes) -> diarization_pb2.DiarizeRequest:
        return diarization_pb2.DiarizeRequest(audio=pcm)

    def end(self) -> diarization_pb2.DiarizeRequest:
        return diarization_pb2.DiarizeRequest(end_of_audio=audio_pb2.EndOfAudio())

    def restart(self) -> None:
        self._continuation = Continuation(final=self._final_until, known=self._known_until)

    def results(self, response: diarization_pb2.DiarizeResponse) -> Iterator[Result]:
        match response.WhichOneof("message"):
            case "started":
                yield Models(self.stage, response.started.models)
            case "progress":
                yield Progress(self.stage, fraction=response.progress.fraction)
            case "turns":
                yield from self._delivered(self._continued(_patch(response.turns)))
            case "completed":
                if self._continuation is not None:
                    yield from self._delivered(self._continuation.rest())
                yield _completed(response.completed)

    def _continued(self, patch: TurnsPatch) -> TurnsPatch | None:
        return patch if self._continuation is None else self._continuation.patch(patch)

    def _delivered(self, patch: TurnsPatch | None) -> Iterator[TurnsPatch]:
        if patch is not None:
            self._known_until = max(self._known_until, patch.horizon)
            self._final_until = max(self._final_until, patch.final_horizon)
            yield patch


def _word(word: asr_pb2.Word) -> Word:
    confidence = word.confidence if word.HasField("confidence") else None
    return Word(
        word.text, word.start.ToNanoseconds(), word.end.ToNanoseconds(), confidence, timing=word.timing
    )


def _patch(update: diarization_pb2.TurnsUpdate) -> TurnsPatch:
    return TurnsPatch(
        since=getattr(update, "from").ToNanoseconds(),
        until=update.until.ToNanoseconds() if update.HasField("until") else FOREVER,
        turns=_turns(update.turns),
        exclusive=_turns(update.exclusive_turns),
        horizon=update.horizon.ToNanoseconds(),
        final_horizon=update.final_horizon.ToNanoseconds(),
    )


def _turns(turns: Iterable[diarization_pb2.Turn]) -> tuple[Turn, ...]:
    return tuple(
        Turn(
            turn.span.start.ToNanoseconds(),
            turn.span.end.ToNanoseconds(),
            turn.speaker,
            turn.confidence if turn.HasField("confidence") else None,
        )
        for turn in turns
    )


def _completed(completed: diarization_pb2.DiarizationCompleted) -> Completed:
    return Completed(
        completed.timing,
        speakers=tuple(completed.speakers),
        voices=tuple(completed.voices),
        overlaps=tuple(completed.overlaps),
    )
