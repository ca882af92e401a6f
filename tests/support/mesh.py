"""A mesh on this machine: an edge, and several replicas of each service, every one with an Envoy beside it.

The gateways are real, the backends fakes that answer from a script; all speak plain text, to their own Envoy only.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from gateway.access.wiring import access_interceptor
from gateway.client import Transcript, TranscriptionClient, configuration
from gateway.config import GatewayConfig
from gateway.servicer import TranscriptionService
from serving.config import ServerConfig
from serving.server import Service, running
from support.certificates import Authority, Identity
from support.decoder import SharedDecoder
from support.envoy import Envoy, Placed, place
from support.gateway.deployment import PCM, audio
from support.gateway.fakes import FakeBackend
from support.processes import free_address

REPLICAS = 2

_DRAIN_SECONDS = 10.0

# As Kubernetes' minReadySeconds: when everybody's health checks have come round twice.
_MIN_READY_SECONDS = 2.5


@dataclass
class Replica:
    """A service and its Envoy, which come and go together as the containers of a pod do."""

    envoy: Placed
    make: Callable[[], tuple[Service, ServerConfig]]
    # Everyone who served here, the newest last.
    services: list[Service] = field(default_factory=list)
    _running: AsyncExitStack | None = None

    async def start(self) -> None:
        service, config = self.make()
        self._running = AsyncExitStack()
        await self._running.enter_async_context(Envoy(self.envoy))
        registry = CollectorRegistry()
        access = [access_interceptor(config, registry)] if isinstance(config, GatewayConfig) else []
        server = await self._running.enter_async_context(running(service, config, registry, access))
        await server.wait_serving()
        self.services.append(service)

    async def stop(self) -> None:
        """The service drains, and its Envoy ends when it has."""
        if self._running is not None:
            await self._running.aclose()
        self._running = None

    async def replace(self) -> None:
        await self.stop()
        await self.start()


@dataclass
class Mesh:
    """Replicas by service, and the one way in."""

    authority: Authority
    edge: Envoy
    address: str
    replicas: dict[str, list[Replica]]
    # Where each replica's Envoy takes calls.
    doors: dict[str, list[str]]

    def client(self, identity: Identity | None = None) -> TranscriptionClient:
        identity = identity or self.authority.identity("caller/tests")
        return TranscriptionClient(self.address, credentials=identity.credentials())

    async def replace(self, index: int) -> None:
        """One replica of each service, by another at the same address; then until everybody sends it calls."""
        await asyncio.gather(*(several[index].replace() for several in self.replicas.values()))
        await asyncio.sleep(_MIN_READY_SECONDS)
        await self.until_whole()

    async def until_whole(self) -> None:
        """Until everybody takes calls."""
        await self.edge.until_healthy("gateways", REPLICAS)
        for gateway in self.replicas["gateway"]:
            for backend in ("asr", "diarization"):
                await Envoy(gateway.envoy).until_healthy(backend, REPLICAS)


async def upload(client: TranscriptionClient, *, pause: float = 0.0, request_id: str = "") -> Transcript:
    """Ten seconds of audio in seven chunks, with a pause after each."""
    transcript = Transcript()
    config = configuration(pcm=PCM, request_id=request_id)
    async for event in client.transcribe(_paced(audio(10.0), pause), config):
        transcript.apply(event)
    return transcript


async def _paced(chunks: AsyncIterator[bytes], pause: float) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
        await asyncio.sleep(pause)


@asynccontextmanager
async def meshed(
    folder: Path, asr: Callable[[], FakeBackend], diarization: Callable[[], FakeBackend], **gateways: Any
) -> AsyncIterator[Mesh]:
    """A mesh in which every replica takes calls; `gateways` are settings of theirs."""
    authority, services = Authority(), {"asr": asr, "diarization": diarization}
    doors = {name: [free_address() for _ in range(REPLICAS)] for name in (*services, "gateway")}
    backends = {
        name: [_backend(folder, authority, name, make, door) for door in doors[name]]
        for name, make in services.items()
    }
    replicas = {
        **backends,
        "gateway": [_gateway(folder, authority, door, doors, gateways) for door in doors["gateway"]],
    }
    address = free_address()
    edge = place(
        "edge",
        folder / "edge",
        authority.identity("edge"),
        listeners={"callers": address},
        clusters={"gateways": doors["gateway"]},
    )
    async with AsyncExitStack() as stack:
        for replica in (replica for several in replicas.values() for replica in several):
            await replica.start()
            stack.push_async_callback(replica.stop)
        mesh = Mesh(authority, await stack.enter_async_context(Envoy(edge)), address, replicas, doors)
        await mesh.until_whole()
        yield mesh


def _backend(
    folder: Path, authority: Authority, name: str, make: Callable[[], FakeBackend], door: str
) -> Replica:
    address = free_address()
    envoy = place(
        "backend",
        folder / f"{name}-{door}",
        authority.identity(name),
        listeners={"mesh": door},
        clusters={"service": [address]},
    )

    def made() -> tuple[Service, ServerConfig]:
        service = make()
        service.config = replace(service.config, address=address, drain_seconds=_DRAIN_SECONDS)
        return service, service.config

    return Replica(envoy, made)


def _gateway(
    folder: Path, authority: Authority, door: str, doors: dict[str, list[str]], settings: dict[str, Any]
) -> Replica:
    address, asr, diarization = free_address(), free_address(), free_address()
    envoy = place(
        "gateway",
        folder / f"gateway-{door}",
        authority.identity("gateway"),
        listeners={"mesh": door, "recognition": asr, "diarization": diarization},
        clusters={"service": [address], "asr": doors["asr"], "diarization": doors["diarization"]},
    )
    config = GatewayConfig(
        address=address,
        asr=(asr,),
        diarization=(diarization,),
        drain_seconds=_DRAIN_SECONDS,
        trust_client_certificate_header=True,
        **settings,
    )
    return Replica(
        envoy, lambda: (TranscriptionService(config, CollectorRegistry(), SharedDecoder()), config)
    )
