"""What the gateway counts of recordings, and tells of those in flight."""

import asyncio
from contextlib import aclosing

import pytest
from grpc import StatusCode

from gateway.client import TranscriptionError, configuration
from gateway.measuring import Measured
from gateway.merge import SECOND
from gateway.replies import duration
from speech.audio.v1 import audio_pb2
from speech.gateway.v1 import gateway_pb2
from support.gateway.deployment import PCM, audio, deployed
from support.gateway.fakes import diarization, failing, hanging, recognition
from support.waiting import until

UTTERANCES = ((0.5, 2.5, "hello there you"), (3.0, 5.0, "well hi my friend"))
TURNS = ((0.4, 2.6, "SPEAKER_00"), (2.9, 5.0, "SPEAKER_01"))


def value(door, name, **labels):
    """Of a metric; 0 before it was first counted."""
    return door.registry.get_sample_value(f"duoscribe_gateway_{name}", labels) or 0


async def ended(door, outcome, code):
    """Waits until one recording has ended, so and no other way."""
    await until(lambda: value(door, "recordings_total", outcome=outcome, code=code) == 1)
    series = [
        sample.value
        for metric in door.registry.collect()
        for sample in metric.samples
        if sample.name == "duoscribe_gateway_recordings_total"
    ]
    assert sum(series) == 1


async def failure(door):
    with pytest.raises(TranscriptionError) as caught:
        await door.transcript()
    return caught.value


async def test_a_recording_that_was_transcribed_whole(tmp_path):
    async with deployed(tmp_path, recognition(*UTTERANCES), diarization(*TURNS)) as door:
        await door.transcript(seconds=10.0)
        await ended(door, "complete", "OK")
        assert value(door, "received_bytes_total") == 10 * 32_000
        assert value(door, "first_segment_seconds_count") == 1
        assert value(door, "completion_seconds_count") == 1
        for stage in ("asr", "diarization", "whole"):
            assert value(door, "real_time_factor_count", stage=stage) == 1
        for stage in ("asr", "diarization"):
            assert value(door, "backend_calls_total", stage=stage, code="OK") == 1


async def test_who_wants_final_results_only_is_not_timed_to_the_first(tmp_path):
    async with deployed(tmp_path, recognition(*UTTERANCES), diarization(*TURNS)) as door:
        await door.transcript(final_only=True)
        await ended(door, "complete", "OK")
        assert value(door, "first_segment_seconds_count") == 0
        assert value(door, "completion_seconds_count") == 1


async def test_a_recording_that_was_sent_again(tmp_path):
    asr = recognition(*UTTERANCES, faults=[failing(StatusCode.ABORTED), None])
    async with deployed(tmp_path, asr, diarization(*TURNS)) as door:
        await door.transcript()
        await ended(door, "complete", "OK")
        assert value(door, "replays_total", stage="asr", code="ABORTED") == 1
        assert value(door, "backend_calls_total", stage="asr", code="ABORTED") == 1
        assert value(door, "backend_calls_total", stage="asr", code="OK") == 1
        assert value(door, "replays_total", stage="diarization", code="ABORTED") == 0


async def test_a_recording_without_one_of_its_stages(tmp_path):
    lost = diarization(faults=[failing(StatusCode.FAILED_PRECONDITION)])
    async with deployed(tmp_path, recognition(*UTTERANCES), lost) as door:
        await door.transcript(accept_partial=True)
        await ended(door, "partial", "OK")
        assert value(door, "backend_calls_total", stage="diarization", code="FAILED_PRECONDITION") == 1
        assert value(door, "replays_total", stage="diarization", code="FAILED_PRECONDITION") == 0
        assert value(door, "real_time_factor_count", stage="diarization") == 0


async def test_a_recording_that_failed(tmp_path):
    broken = recognition(faults=[failing(StatusCode.OUT_OF_RANGE)])
    async with deployed(tmp_path, broken, diarization(*TURNS)) as door:
        assert (await failure(door)).code == StatusCode.OUT_OF_RANGE
        await ended(door, "failed", "OUT_OF_RANGE")


async def test_a_recording_whose_caller_left(tmp_path):
    async with deployed(tmp_path, recognition(*UTTERANCES, faults=[hanging(after=3)]), diarization()) as door:
        async with aclosing(door.client.transcribe(audio(10.0), configuration(pcm=PCM))) as events:
            async for event in events:
                if event.HasField("segment"):
                    break
        await ended(door, "cancelled", "CANCELLED")
        assert value(door, "first_segment_seconds_count") == 1
        assert value(door, "completion_seconds_count") == 0


async def test_a_recording_whose_deadline_passed(tmp_path):
    async with deployed(tmp_path, recognition(faults=[hanging()]), diarization()) as door:
        with pytest.raises(TranscriptionError):
            async for _ in door.client.transcribe(audio(1.0), configuration(pcm=PCM), timeout=0.5):
                pass
        await ended(door, "cancelled", "DEADLINE_EXCEEDED")


async def test_a_recording_that_a_drain_cut(tmp_path):
    asr = recognition(faults=[hanging()])
    async with deployed(tmp_path, asr, diarization(), drain_seconds=0.1) as door:
        cut = asyncio.create_task(failure(door))
        await asr.called.wait()
        await door.server.stop()
        assert (await cut).code == StatusCode.UNAVAILABLE
        await ended(door, "failed", "UNAVAILABLE")


async def test_spooled_audio_is_told_while_it_is_there(tmp_path):
    asr = recognition(*UTTERANCES)
    asr.released.clear()
    async with deployed(tmp_path, asr, diarization(*TURNS), spool_memory_bytes=64_000) as door:
        transcribing = asyncio.create_task(door.transcript(seconds=60.0))

        def spooled(place):
            return value(door, "spool_bytes", place=place)

        await until(lambda: spooled("memory") + spooled("disk") == 60 * 32_000)
        assert spooled("disk") > 0
        asr.released.set()
        await transcribing
        await until(lambda: spooled("memory") == spooled("disk") == 0)


async def test_times_are_from_the_first_byte_and_from_the_last():
    now = 100.0
    measured = Measured(lambda _: None, lambda: now)

    async def uploaded():
        nonlocal now
        while now < 107.0:
            now += 1.0
            yield b"audio"

    async for _ in measured.chunks(uploaded()):
        pass
    send = measured.watched(accept, final_only=False)
    for _ in range(2):
        now += 1.0
        await send(gateway_pb2.TranscribeResponse(segment=gateway_pb2.Segment()))
    now = 117.0
    completed = gateway_pb2.TranscriptionCompleted(
        duration=duration(8 * SECOND),
        stages=[
            gateway_pb2.StageSummary(
                stage=gateway_pb2.STAGE_ASR, timing=audio_pb2.StageTiming(real_time_factor=0.5)
            ),
            gateway_pb2.StageSummary(stage=gateway_pb2.STAGE_DIARIZATION),
        ],
    )
    await send(gateway_pb2.TranscribeResponse(completed=completed))

    assert measured.first_segment_seconds == 7.0
    assert measured.completion_seconds == 10.0
    assert measured.real_time_factors == {"asr": 0.5, "whole": 2.0}


async def accept(event): ...
