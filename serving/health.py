"""The service's state as grpc.health.v1 tells it, under each service's name and under the empty one."""

from contextvars import ContextVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME, aio

__all__ = ["SERVICE_NAME", "Health", "is_always_answered", "takes_recordings"]

# Health and reflection, and what KServe's protocol has for the first: its clients ask it of servers that are loading as well.
_ALWAYS_ANSWERED = (
    "/grpc.",
    "/inference.GRPCInferenceService/Server",
    "/inference.GRPCInferenceService/ModelReady",
)

# Whether recordings are let in, for such calls to say so in words other than grpc.health.v1's.
takes_recordings: ContextVar[bool] = ContextVar("takes_recordings")


def is_always_answered(method: str) -> bool:
    """Whether a call, "/package.Service/Method", is answered whatever state the service is in."""
    return method.startswith(_ALWAYS_ANSWERED)


class Health:
    """NOT_SERVING until `serve`, and for good after `drain`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = ("", *names)
        self._servicer = aio.HealthServicer()

    async def register(self, server: grpc.aio.Server) -> None:
        await self._set_all(health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def serve(self) -> None:
        await self._set_all(health_pb2.HealthCheckResponse.SERVING)

    async def drain(self) -> None:
        await self._servicer.enter_graceful_shutdown()

    async def _set_all(self, state: int) -> None:
        for name in self._names:
            await self._servicer.set(name, state)
