"""The real gateway on a free port, with fake backends behind it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from gateway.access.vouching import Voucher
from gateway.access.wiring import access_interceptor
from gateway.client import Transcript, TranscriptionClient, configuration
from gateway.config import GatewayConfig
from gateway.http.front import HttpFront
from gateway.servicer import TranscriptionService
from serving.server import RunningServer, running
from speech.audio.v1 import audio_pb2
from speech.gateway.v1 import gateway_pb2
from support.decoder import SharedDecoder
from support.gateway.fakes import FakeBackend, FakeDiarization, FakeRecognition

PCM = audio_pb2.PcmFormat(encoding=audio_pb2.PCM_ENCODING_S16LE, sample_rate_hz=16_000, channels=1)


@dataclass(frozen=True)
class Deployment:
    """A gateway to talk to."""

    client: TranscriptionClient
    address: str
    spool_directory: Path
    replicas: dict[FakeBackend, AsyncExitStack]
    registry: CollectorRegistry
    server: RunningServer

    async def transcript(self, seconds: float = 10.0, **wanted: Any) -> Transcript:
        transcript, _ = await self.events(seconds, **wanted)
        return transcript

    async def events(
        self, seconds: float = 10.0, **wanted: Any
    ) -> tuple[Transcript, list[gateway_pb2.TranscribeResponse]]:
        transcript, events = Transcript(), []
        async for event in self.client.transcribe(audio(seconds), configuration(pcm=PCM, **wanted)):
            transcript.apply(event)
            events.append(event)
        return transcript, events

    async def file(self, seconds: float = 10.0, **wanted: Any) -> gateway_pb2.TranscribeFileResponse:
        return await self.client.transcribe_file(audio(seconds), configuration(pcm=PCM, **wanted))

    async def kill(self, replica: FakeBackend) -> None:
        await self.replicas.pop(replica).aclose()


@asynccontextmanager
async def deployed(
    tmp_path: Path,
    asr: FakeRecognition | Sequence[FakeRecognition],
    diarization: FakeDiarization | Sequence[FakeDiarization],
    /,
    **changes: Any,
) -> AsyncIterator[Deployment]:
    """Checks at the end that no recording left anything behind."""
    spool_directory = tmp_path / "spool"
    spool_directory.mkdir(exist_ok=True)
    replicas: dict[FakeBackend, AsyncExitStack] = {}
    async with AsyncExitStack() as stack:
        asr_addresses = [await _served(backend, replicas, stack) for backend in _several(asr)]
        diarization_addresses = [await _served(backend, replicas, stack) for backend in _several(diarization)]
        settings: dict[str, Any] = {
            "asr": tuple(asr_addresses),
            "diarization": tuple(diarization_addresses),
            "spool_memory_bytes": 64 * 1024,
            "spool_directory": spool_directory,
            "backoff_seconds": 0.01,
            "drain_seconds": 1.0,
            "address": "127.0.0.1:0",
        }
        config = GatewayConfig(**(settings | changes))
        registry, voucher = CollectorRegistry(), Voucher()
        access = access_interceptor(config, registry, voucher)
        # One of its own only where it matters to which directory it writes.
        decoder = None if "spool_directory" in changes else SharedDecoder()
        service = TranscriptionService(config, registry, decoder)
        front = HttpFront(config, config.http_address, voucher, registry) if config.http_address else None
        server = await stack.enter_async_context(running(service, config, registry, [access], front=front))
        await server.wait_serving()
        client = await stack.enter_async_context(TranscriptionClient(server.address))
        yield Deployment(client, server.address, spool_directory, replicas, registry, server)
        for replica in list(replicas):
            await replicas.pop(replica).aclose()
    assert not list(spool_directory.iterdir())
    assert not open_files(spool_directory)


def open_files(directory: Path) -> list[str]:
    """Files of a directory that this process has open, unlinked ones included."""
    targets = [_target(link) for link in Path("/proc/self/fd").iterdir()]
    return [target for target in targets if target.startswith(str(directory))]


async def audio(seconds: float, chunk_bytes: int = 50_000) -> AsyncIterator[bytes]:
    pcm = bytes(round(seconds * 16_000) * 2)
    for start in range(0, len(pcm), chunk_bytes):
        yield pcm[start : start + chunk_bytes]


def _several(backends: Any) -> Sequence[Any]:
    return backends if isinstance(backends, Sequence) else [backends]


async def _served(
    backend: FakeBackend, replicas: dict[FakeBackend, AsyncExitStack], stack: AsyncExitStack
) -> str:
    replica = AsyncExitStack()
    server: RunningServer = await replica.enter_async_context(running(backend, backend.config))
    await server.wait_serving()
    replicas[backend] = replica
    stack.push_async_callback(replica.aclose)
    return server.address


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""
