"""python -m gateway"""

import sys

import click
from prometheus_client import CollectorRegistry

try:
    from gateway.access.files import FileError
    from gateway.access.vouching import Voucher
    from gateway.access.wiring import access_interceptor
    from gateway.config import ENV_PREFIX, GatewayConfig
    from gateway.servicer import TranscriptionService
except ModuleNotFoundError as error:
    sys.exit(f"the package {error.name} is missing: pip install 'duoscribe[gateway]'")
from serving.config import command
from serving.fronts import Front
from serving.metrics import process_registry
from serving.server import run


def serve(config: GatewayConfig) -> int:
    """Raises click.UsageError, where a file about callers cannot be used."""
    registry, voucher = process_registry(), Voucher()
    try:
        access = access_interceptor(config, registry, voucher)
    except FileError as error:
        raise click.UsageError(str(error)) from error
    front = _http(config, voucher, registry)
    return run(TranscriptionService(config, registry), config, registry, [access], front=front)


def _http(config: GatewayConfig, voucher: Voucher, registry: CollectorRegistry) -> Front | None:
    """Raises click.UsageError, where HTTP is asked for and its packages are not installed."""
    if config.http_address is None:
        return None
    try:
        from gateway.http.front import HttpFront  # noqa: PLC0415 - its packages are an extra's
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"--http-address needs the package {error.name}: pip install 'duoscribe[http]'"
        ) from error
    return HttpFront(config, config.http_address, voucher, registry)


main = command(
    GatewayConfig,
    serve,
    name="gateway",
    help="Transcribes recordings with their speakers: speech.gateway.v1.Transcription over gRPC.",
    env_prefix=ENV_PREFIX,
)

if __name__ == "__main__":
    sys.exit(main())
