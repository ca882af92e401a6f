"""The service's state as grpc.health.v1 tells it, under each service's name and under the empty one."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME, aio

__all__ = ["SERVICE_NAME", "Health"]


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
