"""The application: paths, and what becomes of errors."""

from typing import cast

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access.vouching import Voucher
from gateway.config import GatewayConfig
from gateway.http.headers import REQUEST_ID
from gateway.http.observing import HttpMetrics, Observed
from gateway.http.refusals import not_found, refusal, status_of
from gateway.http.transcriptions import Transcriptions
from serving import logs
from serving.errors import DuoscribeError
from speech.gateway.v1 import gateway_pb2_grpc

TRANSCRIPTIONS, HEALTH = "/v1/audio/transcriptions", "/health"

_HEALTH_SECONDS = 2.0

_log = logs.get_logger(__name__)


def application(
    channel: aio.Channel, config: GatewayConfig, voucher: Voucher, registry: CollectorRegistry
) -> Observed:
    """Calls the gateway through `channel`, and vouches there for the certificates of its callers."""
    health = health_pb2_grpc.HealthStub(channel)

    async def tell_health(_: Request) -> Response:
        """As the gateway's own health says it, 503 until it serves."""
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=_HEALTH_SECONDS)
        is_serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        return JSONResponse({"status": status}, 200 if is_serving else 503)

    transcriptions = Transcriptions(gateway_pb2_grpc.TranscriptionStub(channel), config, voucher)
    app = Starlette(
        routes=[
            Route(TRANSCRIPTIONS, transcriptions, methods=["POST"]),
            Route(HEALTH, tell_health, methods=["GET"]),
        ],
        exception_handlers={
            DuoscribeError: _refused,
            aio.AioRpcError: _refused,
            HTTPException: _no_such_thing,
            Exception: _failed,
        },
    )
    return Observed(app, HttpMetrics(registry, (TRANSCRIPTIONS, HEALTH)))


def _refused(request: Request, error: Exception) -> Response:
    status = status_of(error)
    if isinstance(error, DuoscribeError):  # All others were refused, and logged, by the gateway.
        _log.info("request refused", request_id=request.scope["state"][REQUEST_ID], reason=status.message)
    return refusal(status)


def _no_such_thing(request: Request, error: Exception) -> Response:
    return not_found(cast("HTTPException", error), f"there is no {request.method} {request.url.path} here")


def _failed(_: Request, error: Exception) -> Response:
    """A bug: the server logs it, since the exception goes on."""
    return refusal(status_of(error))
