"""python -m gateway"""

import sys

import click

try:
    from gateway.access.files import FileError
    from gateway.access.wiring import access_interceptor
    from gateway.config import ENV_PREFIX, GatewayConfig
    from gateway.servicer import TranscriptionService
except ModuleNotFoundError as error:
    sys.exit(f"the package {error.name} is missing: pip install 'duoscribe[gateway]'")
from serving.config import command
from serving.metrics import process_registry
from serving.server import run


def serve(config: GatewayConfig) -> int:
    """Raises click.UsageError, where a file about callers cannot be used."""
    registry = process_registry()
    try:
        access = access_interceptor(config, registry)
    except FileError as error:
        raise click.UsageError(str(error)) from error
    return run(TranscriptionService(config, registry), config, registry, [access])


main = command(
    GatewayConfig,
    serve,
    name="gateway",
    help="Transcribes recordings with their speakers: speech.gateway.v1.Transcription over gRPC.",
    env_prefix=ENV_PREFIX,
)

if __name__ == "__main__":
    sys.exit(main())
