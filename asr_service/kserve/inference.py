"""Recordings of one request through the recogniser, as any others: voice activity, utterances, scheduler, engine."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from tritonclient.grpc import service_pb2

from asr_service.config import AsrConfig
from asr_service.kserve.answers import Heard, answered
from asr_service.kserve.model import VERSION
from asr_service.kserve.requests import Asked, read_request
from asr_service.languages import known_language
from asr_service.recognizer import Recognizer
from asr_service.utterances import CutOptions, Pcm
from serving import logs, tracing
from serving.audio import Bounds, Decoder, Recording, open_recording
from serving.decoding.samples import MAX_BLOCK_SAMPLES
from serving.doors import check_recording_message
from serving.upload import bound_request_id
from speech.audio.v1 import audio_pb2

_log = logs.get_logger(__name__)


class Inference:
    """Answers ModelInfer requests; `decoder` resamples what is not of 16 kHz."""

    def __init__(self, config: AsrConfig, decoder: Decoder) -> None:
        self._config = config
        self._decoder = decoder

    async def infer(
        self, request: service_pb2.ModelInferRequest, recognizer: Recognizer, *, streamed: bool = False
    ) -> service_pb2.ModelInferResponse:
        """A request is let in once, with all its recordings; each of them is a stream at the scheduler.

        Raises InvalidRequest, RecordingTooLong, Overloaded, and an ExceptionGroup of what recognition raises.
        """
        bound_request_id(request.id, field="id")
        recognizer.scheduler.check_room()
        asked = await asyncio.to_thread(self._read, request, streamed=streamed)
        language = known_language(asked.parameters.language, recognizer.info, field="parameters.language")
        tracing.describe(models=tracing.model_names(recognizer.models.infos))
        heard = await self._recognize_all(asked, language, recognizer)
        return answered(request, VERSION, asked.outputs, heard, is_batch=asked.is_batch)

    def _read(self, request: service_pb2.ModelInferRequest, *, streamed: bool) -> Asked:
        # The size of a message is found by writing it, which for a large one takes as long as reading it.
        check_recording_message(request, self._config)
        return read_request(request, max_seconds=self._config.max_audio_seconds, streamed=streamed)

    async def _recognize_all(self, asked: Asked, language: str | None, recognizer: Recognizer) -> list[Heard]:
        # As many at once as one recording may have utterances at the engine, so that other callers wait no longer for many
        # recordings than for a long one.
        room = asyncio.Semaphore(recognizer.limits.backlog)
        cuts = whole(recognizer.cuts)

        async def recognize(pcm: Pcm) -> tuple[Heard, dict[str, float]]:
            heard = Heard()
            async with (
                room,
                recognizer.scheduler.stream(is_let_in=True) as stream,
                self._recording(pcm, asked.parameters.sample_rate) as recording,
            ):
                summary = await recognizer.recognize(recording.blocks(), stream, language, heard.take, cuts)
            return heard, summary

        async with asyncio.TaskGroup() as tasks:
            working = [tasks.create_task(recognize(pcm)) for pcm in asked.recordings]
        done = [task.result() for task in working]
        _tell([summary for _, summary in done])
        return [heard for heard, _ in done]

    def _recording(self, pcm: Pcm, sample_rate: int) -> AbstractAsyncContextManager[Recording]:
        layout = audio_pb2.PcmFormat(
            encoding=audio_pb2.PCM_ENCODING_S16LE, sample_rate_hz=sample_rate, channels=1
        )
        return open_recording(
            audio_pb2.AudioFormat(pcm=layout),
            _chunks(pcm),
            decoder=self._decoder,
            bounds=Bounds.of(self._config),
        )


def whole(cuts: CutOptions) -> CutOptions:
    """Utterances as long as the model likes: nobody waits for an early answer, and what fits into one is one."""
    return replace(cuts, first_speech=cuts.window, long_pause=cuts.window)


async def _chunks(pcm: Pcm) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), MAX_BLOCK_SAMPLES):
        yield pcm[start : start + MAX_BLOCK_SAMPLES].tobytes()


def _tell(summaries: Sequence[dict[str, float]]) -> None:
    """Of all recordings of a request together, which were worked on side by side."""
    total = {key: round(sum(summary[key] for summary in summaries), 3) for key in summaries[0]}
    total["wall_seconds"] = max(summary["wall_seconds"] for summary in summaries)
    tracing.describe(recordings=len(summaries), **total)
    _log.info("recognised", recordings=len(summaries), **total)
