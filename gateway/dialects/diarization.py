"""Diarization's answers: changes to the turns, and in the end the voices."""

from collections.abc import Iterable, Iterator

from gateway.dialects.account import Account, Garbled
from gateway.dialects.continuation import Continuation
from gateway.dialects.dialect import PCM
from gateway.merge import FOREVER, Turn, TurnsPatch
from gateway.reports import Completed, Models, Progress, Result, Stage
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2


class DiarizationDialect:
    """Speaks with speech.diarization.v1. Turns that an earlier call declared final stay; a later call continues them.

    Early ones stay as well, until the later call has come as far.
    """

    stage: Stage = gateway_pb2.STAGE_DIARIZATION
    name = "speaker diarization"
    method = "speech.diarization.v1.SpeakerDiarization/Diarize"

    def __init__(
        self, request_id: str, speakers: diarization_pb2.SpeakerHints, *, embeddings: bool = False
    ) -> None:
        self._config = diarization_pb2.DiarizationConfig(
            audio_format=PCM, request_id=request_id, speakers=speakers, speaker_embeddings=embeddings
        )
        self._account = Account()
        self._known_until = 0
        self._final_until = 0
        self._continuation: Continuation | None = None

    def config(self) -> diarization_pb2.DiarizeRequest:
        return diarization_pb2.DiarizeRequest(config=self._config)

    def audio(self, pcm: bytes) -> diarization_pb2.DiarizeRequest:
        self._account.sent(pcm)
        return diarization_pb2.DiarizeRequest(audio=pcm)

    def end(self) -> diarization_pb2.DiarizeRequest:
        self._account.sent_all()
        return diarization_pb2.DiarizeRequest(end_of_audio=audio_pb2.EndOfAudio())

    def restart(self) -> None:
        self._account = Account()
        self._continuation = Continuation(final=self._final_until, known=self._known_until)

    def results(self, response: diarization_pb2.DiarizeResponse) -> Iterator[Result]:
        match response.WhichOneof("message"):
            case "started":
                yield Models(self.stage, response.started.models)
            case "progress":
                yield Progress(self.stage, fraction=response.progress.fraction)
            case "turns":
                patch = _patch(response.turns)
                self._account.horizons(patch.horizon, patch.final_horizon)
                yield from self._delivered(self._continued(patch))
            case "completed":
                self._account.completed(response.completed.timing)
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
    return tuple(map(_turn, turns))


def _turn(turn: diarization_pb2.Turn) -> Turn:
    start, end = turn.span.start.ToNanoseconds(), turn.span.end.ToNanoseconds()
    if not 0 <= start <= end:
        raise Garbled("a turn ended before it began")
    return Turn(start, end, turn.speaker, turn.confidence if turn.HasField("confidence") else None)


def _completed(completed: diarization_pb2.DiarizationCompleted) -> Completed:
    return Completed(
        completed.timing,
        speakers=tuple(completed.speakers),
        voices=tuple(completed.voices),
        overlaps=tuple(completed.overlaps),
    )
