"""Several gateways and several replicas of each backend: whoever goes, no recording is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc import StatusCode
from prometheus_client import CollectorRegistry

from gateway.client import Transcript, TranscriptionClient, TranscriptionError, configuration
from gateway.config import GatewayConfig
from gateway.gateways import Gateways
from gateway.retries import RetryPolicy
from gateway.servicer import TranscriptionService
from serving.config import ServerConfig
from serving.server import Service, running
from support.gateway.deployment import PCM, audio, deployed
from support.gateway.fakes import diarization, failing, hanging, recognition
from support.processes import free_address

UTTERANCES = ((0.5, 2.5, "hello there you"), (3.0, 5.0, "well hi my friend"))
TURNS = ((0.4, 2.6, "SPEAKER_00"), (2.9, 5.1, "SPEAKER_01"))
WORDS = "hello there you well hi my friend"
QUICKLY = RetryPolicy(attempts=8, backoff=0.05, max_backoff=1.0)


class Place:
    """An address at which one server after another serves."""

    def __init__(self, make: Callable[[], tuple[Service, ServerConfig]]) -> None:
        self.address = free_address()
        self.services: list[Service] = []
        self._make = make
        self._running = AsyncExitStack()

    async def start(self) -> None:
        service, config = self._make()
        self.services.append(service)
        config = replace(config, address=self.address, drain_seconds=0.0)
        server = await self._running.enter_async_context(running(service, config))
        await server.wait_serving()

    async def stop(self) -> None:
        """Whatever is in flight is cut."""
        await self._running.aclose()

    async def replace(self) -> None:
        await self.stop()
        await self.start()


async def slowly() -> AsyncIterator[bytes]:
    async for chunk in audio(6.0, chunk_bytes=16_000):
        yield chunk
        await asyncio.sleep(0.05)


def folders(tmp_path: Path) -> tuple[Path, Path]:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    return one, other


def gateway(asr: list[Place], diarizers: list[Place]) -> Callable[[], tuple[Service, ServerConfig]]:
    def make() -> tuple[Service, ServerConfig]:
        config = GatewayConfig(
            asr=tuple(place.address for place in asr),
            diarization=tuple(place.address for place in diarizers),
            backoff_seconds=0.05,
        )
        return TranscriptionService(config, CollectorRegistry()), config

    return make


async def test_each_gateway_and_each_replica_is_replaced_and_no_recording_is_lost():
    def backend(make):
        service = make()
        return service, service.config

    asr = [Place(lambda: backend(lambda: recognition(*UTTERANCES))) for _ in range(2)]
    diarizers = [Place(lambda: backend(lambda: diarization(*TURNS))) for _ in range(2)]
    gateways = [Place(gateway(asr, diarizers)) for _ in range(2)]
    async with AsyncExitStack() as stack:
        for place in (*asr, *diarizers, *gateways):
            await place.start()
            stack.push_async_callback(place.stop)
        addresses = [place.address for place in gateways]
        client = await stack.enter_async_context(Gateways(addresses, retries=QUICKLY))
        finished, one_more, stopping = [], asyncio.Event(), asyncio.Event()

        async def call_again_and_again() -> None:
            while not stopping.is_set():
                transcript = await client.transcribe(slowly, configuration(pcm=PCM))
                finished.append((transcript.text, transcript.completed.partial))
                one_more.set()

        async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(call_again_and_again())
            for place in (*asr, *diarizers, *gateways):
                one_more.clear()
                await one_more.wait()
                await place.replace()
            stopping.set()
        assert set(finished) == {(WORDS, False)}
        assert all(len(place.services) == 2 for place in (*asr, *diarizers, *gateways))


async def test_a_gateway_that_is_cut_off_in_the_middle_is_passed_over(tmp_path):
    stuck = recognition(*UTTERANCES, faults=[hanging(after=2)])
    one_folder, other_folder = folders(tmp_path)
    async with (
        deployed(one_folder, stuck, diarization(*TURNS)) as one,
        deployed(other_folder, recognition(*UTTERANCES), diarization(*TURNS)) as other,
        Gateways([one.address, other.address], retries=QUICKLY) as client,
    ):
        calls = []
        while not stuck.calls:
            calls.append(asyncio.create_task(client.transcribe(lambda: audio(6.0), configuration(pcm=PCM))))
            await asyncio.sleep(0.05)
        await one.server.stop()
        assert {transcript.text for transcript in await asyncio.gather(*calls)} == {WORDS}


async def test_a_gateway_that_is_full_does_not_hold_up_who_can_go_to_another(tmp_path):
    never = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=3600))
    full = recognition(faults=[failing(StatusCode.RESOURCE_EXHAUSTED, "full", never, after=0)] * 99)
    one_folder, other_folder = folders(tmp_path)
    async with (
        deployed(one_folder, full, diarization(), attempts=1) as one,
        deployed(other_folder, recognition(*UTTERANCES), diarization(*TURNS)) as other,
        Gateways([one.address, other.address], retries=QUICKLY) as client,
        asyncio.timeout(20),
    ):
        while not full.calls:
            transcript: Transcript = await client.transcribe(lambda: audio(6.0), configuration(pcm=PCM))
            assert transcript.text == WORDS


async def test_gateways_behind_one_name_take_turns(tmp_path):
    one_folder, other_folder = folders(tmp_path)
    backends = [recognition(), recognition()]
    async with (
        deployed(one_folder, backends[0], diarization()) as one,
        deployed(other_folder, backends[1], diarization()) as other,
        TranscriptionClient(f"ipv4:{one.address},{other.address}") as client,
        asyncio.timeout(20),
    ):
        while not all(backend.calls for backend in backends):
            await client.transcribe_file(audio(0.1), configuration(pcm=PCM))


@pytest.mark.parametrize(
    ("code", "calls"), [(StatusCode.FAILED_PRECONDITION, 1), (StatusCode.UNAVAILABLE, 3)]
)
async def test_the_last_error_is_the_callers_where_another_call_is_no_use(tmp_path, code, calls):
    asr = recognition(faults=[failing(code, after=0)] * 9)
    policy = RetryPolicy(attempts=3, backoff=0.01, max_backoff=0.01)
    async with (
        deployed(tmp_path, asr, diarization(), attempts=1) as door,
        Gateways([door.address], retries=policy) as client,
    ):
        with pytest.raises(TranscriptionError) as caught:
            await client.transcribe(lambda: audio(1.0), configuration(pcm=PCM))
    assert (caught.value.code, len(asr.calls)) == (code, calls)


async def test_what_reading_raises_is_the_callers(tmp_path):
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(3200)
        raise OSError("the disk is gone")

    async with (
        deployed(tmp_path, recognition(), diarization()) as door,
        Gateways([door.address]) as client,
    ):
        with pytest.raises(OSError, match="disk is gone"):
            await client.transcribe(broken, configuration(pcm=PCM))


def test_without_an_address_there_is_nobody_to_call():
    with pytest.raises(ValueError, match="address"):
        Gateways([])
