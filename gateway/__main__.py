"""python -m gateway"""

import sys

from gateway.config import ENV_PREFIX, GatewayConfig
from gateway.servicer import TranscriptionService
from serving.config import command
from serving.server import run


def serve(config: GatewayConfig) -> int:
    return run(TranscriptionService(config), config)


main = command(
    GatewayConfig,
    serve,
    name="gateway",
    help="Transcribes recordings with their speakers: speech.gateway.v1.Transcription over gRPC.",
    env_prefix=ENV_PREFIX,
)

if __name__ == "__main__":
    sys.exit(main())
