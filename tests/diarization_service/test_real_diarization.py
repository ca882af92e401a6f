"""Real weights on real speech, through the service as it is deployed: two processes, a socket between us and them.

The recording is pyannote.audio's sample: 30 s, two speakers, with its reference.
"""

import asyncio
import functools
import importlib.util
import wave
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path

import grpc
import psutil
import pytest

from diarization_service.turns import Known, Turn
from serving.times import seconds
from speech.audio.v1.audio_pb2 import AudioFormat, ContainerFormat
from speech.diarization.v1.diarization_pb2 import (
    DIARIZATION_STEP_EMBEDDING,
    DescribeDiarizationRequest,
    DiarizeResponse,
)
from support.diarization import Caller, in_chunks, upload
from support.health import health_waits, most
from support.processes import ServiceProcess
from support.turns import Applied

pytestmark = pytest.mark.models

CONTAINER = AudioFormat(container=ContainerFormat())


def sample_folder() -> Path:
    """Found without importing pyannote.audio, and torch with it."""
    spec = importlib.util.find_spec("pyannote")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("pyannote.audio is not installed")
    return next(
        folder
        for folder in (Path(place) / "audio" / "sample" for place in spec.submodule_search_locations)
        if folder.is_dir()
    )


def excerpt(start: float, end: float) -> bytes:
    """Seconds of the sample as 16 kHz s16le."""
    with wave.open(str(sample_folder() / "sample.wav")) as file:
        file.setpos(round(start * 16_000))
        return file.readframes(round((end - start) * 16_000))


# Both speakers, in few windows.
SHORT = functools.partial(excerpt, 8.0, 20.0)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    log = tmp_path_factory.mktemp("diarization") / "log"
    with ServiceProcess("diarization_service", ("--address", "127.0.0.1:0"), log) as process:
        yield process.wait_serving()


@pytest.fixture
async def caller(service: ServiceProcess) -> AsyncIterator[Caller]:
    async with Caller.of(service.address) as caller:
        yield caller


def worker(service: ServiceProcess) -> psutil.Process:
    """The process that holds torch; another one decodes."""
    children = psutil.Process(service.process.pid).children()
    (found,) = (child for child in children if "diarization_service.worker" in child.cmdline())
    return found


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def speakers(caller: Caller, audio: bytes, **hints: int) -> list[str]:
    responses = await caller.all(*upload(audio, **hints))
    return list(responses[-1].completed.speakers)


async def until_embedding(responses: AsyncIterator[DiarizeResponse]) -> None:
    """The longest step has begun."""
    async for response in responses:
        if response.progress.step == DIARIZATION_STEP_EMBEDDING:
            return


def known_from(responses: Iterable[DiarizeResponse]) -> Known:
    """What all updates add up to."""
    applied = Applied()
    for response in responses:
        applied.take_any(response)
    return applied.known


def error_rate(turns: Iterable[Turn]) -> float:
    """Diarization error rate against the reference: no collar, overlaps count."""
    from pyannote.core import Annotation, Segment, Timeline  # noqa: PLC0415  slow to load
    from pyannote.database.util import load_rttm  # noqa: PLC0415  slow to load
    from pyannote.metrics.diarization import DiarizationErrorRate  # noqa: PLC0415  slow to load

    found = Annotation()
    for index, turn in enumerate(turns):
        found[Segment(turn.start / 16_000, turn.end / 16_000), index] = turn.speaker
    reference = load_rttm(sample_folder() / "sample.rttm")["sample"]
    return float(DiarizationErrorRate()(reference, found, uem=Timeline([Segment(0, 30)])))


async def test_finds_both_speakers_unaided_while_health_answers(caller: Caller) -> None:
    recording = (sample_folder() / "sample.wav").read_bytes()
    diarizing = asyncio.ensure_future(caller.all(*upload(recording, CONTAINER)))
    waits = await health_waits(caller.channel, diarizing)
    responses = await diarizing
    # Measured: the slowest took 4 ms on an idle machine.
    assert len(waits) > 20
    assert most(waits) < 0.1

    known, completed = known_from(responses), responses[-1].completed
    assert list(completed.speakers) == ["SPEAKER_00", "SPEAKER_01"]
    assert error_rate(known.turns) <= 0.08  # measured: 0.052
    assert known.exclusive
    assert known.horizon == known.final_horizon == 30 * 16_000
    assert all(turn.confidence for turn in known.turns)
    assert seconds(completed.timing.audio_duration) == 30
    assert 0 < seconds(completed.timing.compute_duration) <= seconds(completed.timing.wall_duration)
    fractions = [response.progress.fraction for response in responses if response.HasField("progress")]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)


async def test_says_who_speaks_while_audio_arrives(caller: Caller) -> None:
    """The last third of the audio is sent only once it was said who speaks in the first."""
    audio, cut = excerpt(0, 30), 2 * 16_000 * 20
    applied = Applied()
    call = caller.stub.Diarize()
    for request in upload(audio[:cut])[:-1]:
        await call.write(request)
    while applied.known.horizon < 10 * 16_000:
        applied.take_any(await call.read())
    early = applied.known
    for request in upload(audio[cut:])[1:]:
        await call.write(request)
    await call.done_writing()
    while (response := await call.read()) is not grpc.aio.EOF:
        applied.take_any(response)
    assert early.turns
    assert early.final_horizon == 0
    assert applied.known == known_from(await caller.all(*upload(audio)))


async def test_many_at_once_in_any_chunks_are_answered_as_each_alone(caller: Caller) -> None:
    audios = [SHORT(), excerpt(14.0, 27.5)]
    alone = [known_from(await caller.all(*upload(audio))) for audio in audios]
    assert all(len(known.turns) > 1 for known in alone)
    together = await asyncio.gather(
        *(caller.all(*in_chunks(audio, size)) for audio in audios for size in (640, 100_000))
    )
    assert [known_from(responses) for responses in together] == [known for known in alone for _ in range(2)]


async def test_hints_are_honoured(caller: Caller) -> None:
    assert len(await speakers(caller, SHORT(), exact=1)) == 1
    assert len(await speakers(caller, SHORT(), exact=3)) == 3
    assert len(await speakers(caller, SHORT(), maximum=1)) == 1


async def test_more_speakers_than_a_recording_can_hold_are_as_many_as_can_be_told_apart(
    caller: Caller,
) -> None:
    assert 1 <= len(await speakers(caller, SHORT(), minimum=50)) < 50


@pytest.mark.parametrize("samples", [1, 399, 16_000, 11 * 16_000])
async def test_silence_is_answered_with_no_speakers(caller: Caller, samples: int) -> None:
    responses = await caller.all(*upload(bytes(2 * samples), exact=2))
    assert responses[-1].completed.turns == 0
    assert not responses[-1].completed.speakers
    assert known_from(responses).final_horizon == samples


async def test_a_cancelled_recording_stops_after_a_window_and_the_worker_takes_the_next(
    caller: Caller, service: ServiceProcess
) -> None:
    process = worker(service)
    async with aclosing(caller.diarize(*upload(excerpt(0, 30)))) as responses:
        await until_embedding(responses)
    before = cpu_seconds(process)
    await caller.all(*upload(bytes(2)))
    # Measured: 0.3 s of CPU for each of 21 windows.
    assert cpu_seconds(process) - before < 3
    assert worker(service).pid == process.pid


async def test_a_worker_that_is_killed_fails_its_recording_alone(
    caller: Caller, service: ServiceProcess
) -> None:
    async def kill_while_it_computes() -> None:
        async with aclosing(caller.diarize(*upload(SHORT()))) as responses:
            await until_embedding(responses)
            worker(service).kill()
            async for _ in responses:
                pass

    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await kill_while_it_computes()
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(await speakers(caller, SHORT())) == 2


async def test_describes_what_was_loaded(caller: Caller) -> None:
    described = await caller.stub.DescribeDiarization(DescribeDiarizationRequest())
    assert [model.role for model in described.models] == ["segmentation", "embedding"]
    assert {model.engine for model in described.models} == {"pyannote.audio 4.0.7"}
    assert all(len(model.fingerprint) == 64 for model in described.models)
    assert seconds(described.resolution) == 0.016875


def test_the_service_process_does_not_hold_torch(service: ServiceProcess) -> None:
    def libraries(process: psutil.Process) -> set[str]:
        return {Path(place.path).name for place in process.memory_maps()}

    assert "libtorch_cpu.so" in libraries(worker(service))
    assert "libtorch_cpu.so" not in libraries(psutil.Process(service.process.pid))


def test_libraries_write_no_warnings_to_the_log(service: ServiceProcess) -> None:
    log = service.log.read_text()
    assert "networks loaded" in log
    assert "Warning" not in log
    assert "torchcodec" not in log
