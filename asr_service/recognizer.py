"""What every door of the service leads to: the loaded models, and a recording's way through them."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from asr_service.config import AsrConfig
from asr_service.engines.base import EngineInfo
from asr_service.listening import Listener
from asr_service.loading import LoadedModels, cut_options, scheduling_limits
from asr_service.metrics import AsrMetrics
from asr_service.scheduler import Limits, Scheduler, Stream
from asr_service.session import Send, Session
from asr_service.utterances import CutOptions, Pcm, UtteranceCutter
from serving.cores import cores

# Voice activity detection takes 4 ms for a second of audio. Where the engine needs the cores, two threads of it are plenty.
_EARS_BESIDE_A_CPU_ENGINE = 2


@dataclass(frozen=True)
class Recognizer:
    """Belongs to one event loop; made by `start`."""

    models: LoadedModels
    limits: Limits
    cuts: CutOptions
    metrics: AsrMetrics
    scheduler: Scheduler
    ears: ThreadPoolExecutor

    @classmethod
    def start(cls, models: LoadedModels, config: AsrConfig, metrics: AsrMetrics) -> "Recognizer":
        info = models.engine.info
        limits = scheduling_limits(config, info)
        scheduler = Scheduler(models.engine, limits, metrics)
        scheduler.start()
        ears = ThreadPoolExecutor(ears_beside(info), thread_name_prefix="ears")
        return cls(models, limits, cut_options(config, info), metrics, scheduler, ears)

    async def close(self) -> None:
        await self.scheduler.close()
        self.ears.shutdown(wait=False, cancel_futures=True)

    @property
    def info(self) -> EngineInfo:
        return self.models.engine.info

    async def recognize(
        self,
        blocks: AsyncIterator[Pcm],
        stream: Stream,
        language: str | None,
        send: Send,
        cuts: CutOptions | None = None,
    ) -> dict[str, float]:
        """Sends what is heard as soon as it is, and gives a summary of a recording that was recognised whole.

        `language` is one of the model's, or None; `cuts` are by default those for an early answer. Raises what
        `Session.run` raises.
        """
        loop = asyncio.get_running_loop()
        listener = await loop.run_in_executor(self.ears, self._listener, cuts or self.cuts)
        session = Session(self.info, language, listener, stream, self.ears, send)
        await session.run(blocks)
        summary = session.summary()
        self.metrics.recognised(summary["audio_seconds"], summary["wall_seconds"])
        return summary

    def _listener(self, cuts: CutOptions) -> Listener:
        return Listener(self.models.detector(), UtteranceCutter(cuts))


def ears_beside(info: EngineInfo) -> int:
    """Threads that listen."""
    return _EARS_BESIDE_A_CPU_ENGINE if info.provider == "cpu" else cores()
