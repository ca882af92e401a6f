"""`python -m diarization_service`: serve speaker diarization."""

from diarization_service.config import ENV_PREFIX, Config
from diarization_service.service import DiarizationService
from serving.config import command
from serving.gpus import load_nvml, tell_gpus
from serving.metrics import process_registry
from serving.models import ModelStore
from serving.server import run


def serve(config: Config) -> int:
    registry = process_registry()
    tell_gpus(registry, load_nvml())
    service = DiarizationService.of(config, ModelStore(), registry)
    return run(service, config, registry, line=service.line)


main = command(
    Config,
    serve,
    name="diarization_service",
    help="Serve speaker diarization: a recording in, who spoke when out.",
    env_prefix=ENV_PREFIX,
)

if __name__ == "__main__":
    main()
