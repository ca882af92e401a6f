"""The diarization service without models: its worker's networks hear what is written into the samples.

python -m benchmarks.deterministic.diarization [--compute-seconds 0.5] [flags of python -m diarization_service]
"""

import sys
from dataclasses import dataclass
from functools import partial

from benchmarks.deterministic.worker import ENGINE
from diarization_service.config import ENV_PREFIX, Config
from diarization_service.line import Lines
from diarization_service.metrics import DiarizationMetrics
from diarization_service.process import Worker, WorkerProcess
from diarization_service.service import DiarizationService, to_both
from serving.config import command, option
from serving.metrics import process_registry
from serving.models.roles import EMBEDDING, SEGMENTATION
from serving.server import run
from speech.audio.v1.audio_pb2 import ModelInfo


@dataclass(frozen=True, kw_only=True)
class DeterministicConfig(Config):
    compute_seconds: float = option(0.0, "How long it takes to segment a second of audio, in seconds.", min=0)


def serve(config: DeterministicConfig) -> int:
    registry = process_registry()
    metrics, lines = DiarizationMetrics(registry), Lines()

    async def spawn(number: int) -> Worker:
        return await WorkerProcess.start(
            *(sys.executable, "-m", "benchmarks.deterministic.worker", str(config.compute_seconds)),
            cancel_grace_seconds=config.cancel_grace_seconds,
            report=partial(to_both, metrics, lines, number),
        )

    models = [ModelInfo(role=role.name, name=ENGINE) for role in (SEGMENTATION, EMBEDDING)]
    service = DiarizationService(config, spawn=spawn, models=lambda: models, metrics=metrics, lines=lines)
    return run(service, config, registry, line=service.line)


main = command(
    DeterministicConfig,
    serve,
    name="benchmarks.deterministic.diarization",
    help=__doc__,
    env_prefix=ENV_PREFIX,
)

if __name__ == "__main__":
    sys.exit(main())
