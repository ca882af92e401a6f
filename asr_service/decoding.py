"""Batches through the engine, in threads, and what comes of it: answers, failures, figures."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from asr_service.engines.base import Engine, Recognition, Stopped
from asr_service.jobs import Batch
from asr_service.metrics import AsrMetrics
from asr_service.speed import Speed
from serving import logs

_log = logs.get_logger(__name__)


class Decoder:
    """Decodes as many batches at once as it is asked to, up to `parallel`."""

    def __init__(self, engine: Engine, parallel: int, metrics: AsrMetrics) -> None:
        self._engine = engine
        self._parallel = parallel
        self._metrics = metrics
        self._speed = Speed()
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="decode")

    def close(self) -> None:
        """What runs is left to end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def time_for(self, audio: float) -> float:
        """Seconds that so many seconds of audio will take, by the batches seen so far; 0 before the first."""
        return self._speed.time_for(audio) / self._parallel

    async def decode(self, batch: Batch) -> None:
        """Answers every job of the batch, with what the engine raises if it does."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._metrics.started(batch, started)
        try:
            recognitions = await self._recognize(batch)
            ended = loop.time()
            batch.answer(recognitions, started, ended)
        except Stopped as stopped:
            self._metrics.stopped()
            batch.fail(stopped)
        except Exception as error:  # noqa: BLE001 - it belongs to the streams that wait
            self._metrics.failed(batch, loop.time())
            await self._blame(batch, error)
        else:
            self._metrics.decoded(batch, started, ended)
            self._speed.saw(batch.seconds, ended - started)

    async def _recognize(self, batch: Batch) -> list[Recognition]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, batch.recognize, self._engine)
        finally:
            self._metrics.went_on(batch, loop.time())

    async def _blame(self, batch: Batch, error: Exception) -> None:
        """Decodes each utterance of a batch that failed by itself, so that one does not fail its neighbours."""
        if len(batch.jobs) == 1:
            batch.fail(error)
            return
        _log.warning("a batch failed and is decoded one by one", utterances=len(batch.jobs), exc_info=error)
        for job in batch.jobs:
            if not job.result.done():
                await self.decode(Batch([job]))
