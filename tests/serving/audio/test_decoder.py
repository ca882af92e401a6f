"""Decoders and their fork server may die, hang and be killed: recordings end with an error, services never."""

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry

from serving.audio import Decoder, open_recording
from serving.audio.metrics import DecoderMetrics
from serving.errors import Unavailable
from speech.audio.v1 import audio_pb2
from support import audio
from support.decoder import children_of, fork_server_of, own_decoder, shared_decoder
from support.waiting import until

WAV = audio.wav(audio.signal(6, 44_100), 44_100)


class Half:
    """An upload that brings half of a recording, and the rest when it is told to."""

    def __init__(self) -> None:
        self.rest = asyncio.Event()

    async def chunks(self):
        yield WAV[: len(WAV) // 2]
        await self.rest.wait()
        yield WAV[len(WAV) // 2 :]


@asynccontextmanager
async def half_decoded(decoder, **limits):
    """A recording of which some has been heard, its upload, and the process that decodes it."""
    upload = Half()
    before = set(children_of(decoder))
    async with (
        asyncio.timeout(20),
        audio.opened(audio.CONTAINER, upload.chunks(), decoder=decoder, **limits) as recording,
    ):
        await anext(recording.blocks())
        (process,) = set(children_of(decoder)) - before
        yield recording, upload, process


async def rest_of(recording):
    return [block async for block in recording.blocks()]


def has_ended(process):
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_each_recording_has_a_process_that_ends_with_it():
    decoder = await shared_decoder()
    async with half_decoded(decoder) as (recording, upload, process):
        assert process.ppid() == fork_server_of(decoder).pid
        upload.rest.set()
        await rest_of(recording)
    await until(lambda: has_ended(process))


async def test_a_killed_decoder_fails_its_recording_and_no_other():
    decoder = await shared_decoder()
    async with (
        half_decoded(decoder) as (other, upload, _),
        half_decoded(decoder) as (recording, _, process),
    ):
        process.kill()
        with pytest.raises(Unavailable, match="killed from outside"):
            await rest_of(recording)
        upload.rest.set()
        assert await rest_of(other)


async def test_a_decoder_that_hangs_is_killed():
    decoder = await shared_decoder()
    async with half_decoded(decoder, decoder_stall_seconds=0.2) as (recording, upload, process):
        process.suspend()
        upload.rest.set()
        with pytest.raises(Unavailable, match="does not go on"):
            await rest_of(recording)
    await until(lambda: has_ended(process))


async def test_what_ended_decoders_early_is_counted():
    registry = CollectorRegistry()

    def counted(cause):
        return registry.get_sample_value("duoscribe_broken_decoders_total", {"cause": cause})

    async with own_decoder(ended_early=DecoderMetrics(registry).ended_early) as decoder:
        async with half_decoded(decoder) as (recording, _, process):
            process.kill()
            with pytest.raises(Unavailable):
                await rest_of(recording)
        async with half_decoded(decoder, decoder_stall_seconds=0.2) as (recording, upload, process):
            process.suspend()
            upload.rest.set()
            with pytest.raises(Unavailable):
                await rest_of(recording)
        await audio.decoded(WAV, decoder=decoder)
    assert (counted("killed"), counted("hung")) == (1, 1)
    assert counted("crashed") is None


async def test_a_caller_who_pauses_is_no_hanging_decoder():
    decoder = await shared_decoder()
    async with half_decoded(decoder, decoder_stall_seconds=0.2) as (recording, upload, _):
        asyncio.get_running_loop().call_later(0.6, upload.rest.set)
        assert await rest_of(recording)


async def test_after_the_fork_servers_death_another_one_decodes():
    async with own_decoder() as decoder:
        first = fork_server_of(decoder)
        async with half_decoded(decoder) as (recording, upload, process):
            first.kill()
            await until(lambda: has_ended(process))
            upload.rest.set()
            with pytest.raises(Unavailable):
                await rest_of(recording)
        assert len(await audio.decoded(WAV, decoder=decoder)) == 6 * 16_000
        assert fork_server_of(decoder) != first


async def test_a_fork_server_that_hangs_gives_way_to_another_one():
    async with own_decoder(patience_seconds=2.0) as decoder:
        fork_server_of(decoder).suspend()
        with pytest.raises(Unavailable, match="no decoder could be started"):
            await audio.decoded(WAV, decoder=decoder)
        await until(lambda: fork_server_of(decoder).status() != psutil.STATUS_STOPPED)
        assert len(await audio.decoded(WAV, decoder=decoder)) == 6 * 16_000


async def test_a_signal_to_the_whole_group_lets_recordings_finish():
    decoder = await shared_decoder()
    async with half_decoded(decoder) as (recording, upload, process):
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
            fork_server_of(decoder).send_signal(number)
        upload.rest.set()
        assert await rest_of(recording)


async def test_closing_ends_what_still_decodes():
    async with own_decoder() as decoder:
        server = fork_server_of(decoder)
        async with half_decoded(decoder) as (recording, _, process):
            await decoder.close()
            with pytest.raises(Unavailable):
                await rest_of(recording)
        await until(lambda: has_ended(process) and has_ended(server))


SERVICE = """
import asyncio, sys
from serving.audio import Bounds, Decoder, open_recording
from serving.config import ServerConfig
from speech.audio.v1 import audio_pb2

async def chunks():
    yield sys.stdin.buffer.read()
    await asyncio.sleep(60)

async def main():
    decoder = Decoder()
    await decoder.start()
    container = audio_pb2.AudioFormat(container=audio_pb2.ContainerFormat())
    async with open_recording(container, chunks(), decoder=decoder, bounds=Bounds.of(ServerConfig())) as recording:
        print("decoding", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_killed_service_leaves_no_process():
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    service.stdin.write(WAV[: len(WAV) // 2])
    service.stdin.close()
    assert await service.stdout.readline() == b"decoding\n"
    processes = psutil.Process(service.pid).children(recursive=True)
    assert len(processes) == 2
    service.kill()
    await service.wait()
    await until(lambda: all(has_ended(process) for process in processes))


async def test_ready_samples_need_no_decoder():
    ready = audio.pcm_format(audio_pb2.PCM_ENCODING_S16LE, 16_000)
    async with open_recording(
        ready, audio.in_chunks(bytes(64_000)), decoder=Decoder(), bounds=audio.bounds()
    ) as recording:
        assert sum([len(block) async for block in recording.blocks()]) == 32_000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_fork_server_can_be_forked_safely():
    process = fork_server_of(await shared_decoder())
    assert process.num_threads() == 1
    assert not [mapped for mapped in process.memory_maps() if "grpc" in mapped.path]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_what_a_decoder_is_left_with(monkeypatch):
    monkeypatch.setenv("DUOSCRIBE_SECRET", "of the service's")
    async with own_decoder() as decoder, half_decoded(decoder) as (_, _, process):
        assert "DUOSCRIBE_SECRET" not in process.environ()
        assert process.nice() > psutil.Process().nice()
        own = Path("/proc", str(process.pid))
        assert len(list((own / "fd").iterdir())) == 4
        assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert process.rlimit(psutil.RLIMIT_NOFILE)[1] <= 16
        assert process.rlimit(psutil.RLIMIT_DATA)[1] < 2**29
        assert process.rlimit(psutil.RLIMIT_CPU)[0] <= 22
        assert "NoNewPrivs:\t1" in (own / "status").read_text()
        assert (own / "oom_score_adj").read_text() == "1000\n"
