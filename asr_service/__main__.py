"""python -m asr_service"""

import sys

try:
    from asr_service.config import ENV_PREFIX, AsrConfig
    from asr_service.loading import load_models
    from asr_service.servicer import RecognitionService
except ModuleNotFoundError as error:
    sys.exit(f"the package {error.name} is missing: pip install 'duoscribe[asr]'")
from serving.config import command
from serving.gpus import load_nvml, tell_gpus
from serving.metrics import process_registry
from serving.models.store import ModelStore
from serving.server import run


def serve(config: AsrConfig) -> int:
    registry = process_registry()
    tell_gpus(registry, load_nvml())
    service = RecognitionService(config, lambda: load_models(config, ModelStore()), registry)
    return run(service, config, registry, line=service.line)


main = command(
    AsrConfig,
    serve,
    name="asr_service",
    help="Recognises speech: speech.asr.v1.SpeechRecognition over gRPC, on CPUs and GPUs.",
    env_prefix=ENV_PREFIX,
)

if __name__ == "__main__":
    sys.exit(main())
