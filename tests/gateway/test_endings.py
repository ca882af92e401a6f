"""However a call ends: its backends' calls end with it, and nothing of the recording stays."""

import asyncio
from contextlib import aclosing

import grpc
import pytest
from grpc import StatusCode

from gateway.client import TranscriptionClient, TranscriptionError, configuration
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from support.audio import encoded, signal
from support.gateway.deployment import PCM, audio, deployed, open_files
from support.gateway.fakes import Answer, diarization, failing, hanging, recognition, utterance

UTTERANCES = ((0.5, 2.5, "hello there you"), (3.0, 5.0, "well hi my friend"))


async def endless():
    while True:
        async for chunk in audio(1.0):
            yield chunk
        await asyncio.sleep(0.02)


async def check_backends_cancelled(*backends) -> None:
    async with asyncio.timeout(5):
        for backend in backends:
            assert await backend.calls[0].ending in {"CancelledError", "Abandoned"}


@pytest.fixture
def backends():
    return recognition(*UTTERANCES, faults=[hanging(after=3)]), diarization(faults=[hanging()])


async def test_a_caller_who_stops_listening_ends_the_backends_calls(tmp_path, backends):
    async with deployed(tmp_path, *backends) as door:
        async with aclosing(door.client.transcribe(audio(10.0), configuration(pcm=PCM))) as events:
            async for event in events:
                if event.HasField("segment"):
                    break
        await check_backends_cancelled(*backends)


async def test_a_caller_who_stops_within_the_upload_ends_the_backends_calls(tmp_path, backends):
    async with deployed(tmp_path, *backends) as door:
        async with aclosing(door.client.transcribe(endless(), configuration(pcm=PCM))) as events:
            async for event in events:
                if event.HasField("segment"):
                    break
            assert open_files(door.spool_directory)
        await check_backends_cancelled(*backends)


async def test_a_cancelled_file_call_ends_the_backends_calls(tmp_path, backends):
    async with deployed(tmp_path, *backends) as door:
        call = asyncio.create_task(door.file())
        for backend in backends:
            await backend.called.wait()
        call.cancel()
        await check_backends_cancelled(*backends)


async def test_a_caller_who_disconnects_ends_the_backends_calls(tmp_path, backends):
    async with deployed(tmp_path, *backends) as door:
        client = TranscriptionClient(door.address)
        async for event in client.transcribe(audio(10.0), configuration(pcm=PCM)):
            if event.HasField("segment"):
                await client.close()
                break
        await check_backends_cancelled(*backends)


async def test_the_callers_deadline_holds_for_the_backends(tmp_path, backends):
    async with deployed(tmp_path, *backends) as door:
        with pytest.raises(TranscriptionError) as caught:
            async for _ in door.client.transcribe(audio(10.0), configuration(pcm=PCM), timeout=1.5):
                pass
        await check_backends_cancelled(*backends)
    assert caught.value.code == StatusCode.DEADLINE_EXCEEDED
    for backend in backends:
        # gRPC rounds a timeout up to the wire's next unit with each hop, so a little more than was left may arrive.
        assert 0 < backend.calls[0].time_remaining < 1.6


async def test_without_a_deadline_the_backends_have_none(tmp_path):
    asr, diarizer = recognition(), diarization()
    async with deployed(tmp_path, asr, diarizer) as door:
        await door.file(0.1)
    assert asr.calls[0].time_remaining is None
    assert diarizer.calls[0].time_remaining is None


async def test_a_stage_that_fails_for_good_ends_the_other_at_once(tmp_path):
    asr = recognition(*UTTERANCES, faults=[failing(StatusCode.FAILED_PRECONDITION, after=3)])
    diarizer = diarization(faults=[hanging()])
    async with deployed(tmp_path, asr, diarizer) as door:
        async with asyncio.timeout(5):
            with pytest.raises(TranscriptionError):
                async for _ in door.client.transcribe(endless(), configuration(pcm=PCM)):
                    pass
        await check_backends_cancelled(diarizer)


async def test_a_file_call_that_fails_is_told_of_while_nothing_is_sent(tmp_path):
    async def waiting():
        async for chunk in audio(1.0):
            yield chunk
        await asyncio.Event().wait()

    asr = recognition(faults=[failing(StatusCode.FAILED_PRECONDITION, after=0)])
    async with deployed(tmp_path, asr, diarization()) as door, asyncio.timeout(5):
        with pytest.raises(TranscriptionError) as caught:
            await door.client.transcribe_file(waiting(), configuration(pcm=PCM))
    assert caught.value.code == StatusCode.FAILED_PRECONDITION


async def test_an_error_of_the_upload_ends_the_backends_calls(tmp_path):
    asr, diarizer = recognition(faults=[hanging()]), diarization(faults=[hanging()])
    async with deployed(tmp_path, asr, diarizer) as door, grpc.aio.insecure_channel(door.address) as channel:
        call = gateway_pb2_grpc.TranscriptionStub(channel).Transcribe()
        config = gateway_pb2.TranscribeRequest(config=configuration(pcm=PCM))
        await call.write(config)
        await call.write(gateway_pb2.TranscribeRequest(audio=bytes(64_000)))
        await asr.called.wait()
        await diarizer.called.wait()
        await call.write(config)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call:
                pass
        await check_backends_cancelled(asr, diarizer)
    assert caught.value.code() == StatusCode.INVALID_ARGUMENT
    assert "second time" in caught.value.details()


async def test_a_caller_who_does_not_read_holds_back_the_backends(tmp_path):
    asr = recognition(*UTTERANCES)
    asr.script[1:] = [Answer(1.0, utterance(index, 0.0, 1.0, "word " * 400)) for index in range(2_000)]
    async with (
        deployed(tmp_path, asr, diarization()) as door,
        aclosing(door.client.transcribe(audio(10.0), configuration(pcm=PCM))) as events,
    ):
        await anext(events)
        await asyncio.sleep(1.0)
        assert not asr.calls[0].ending.done()


async def test_the_clients_own_error_is_what_its_caller_gets(tmp_path):
    async def broken():
        yield bytes(3200)
        raise OSError("the disk is gone")

    async with deployed(tmp_path, recognition(), diarization()) as door:
        with pytest.raises(OSError, match="disk is gone"):
            async for _ in door.client.transcribe(broken(), configuration(pcm=PCM)):
                pass
        with pytest.raises(OSError, match="disk is gone"):
            await door.client.transcribe_file(broken(), configuration(pcm=PCM))


async def test_a_file_that_must_be_kept_whole_goes_where_the_spool_goes(tmp_path):
    async def m4a():
        yield encoded("mp4", "aac", signal(0.5, 44_100), 44_100)

    missing = tmp_path / "missing"
    async with deployed(
        tmp_path, recognition(), diarization(), spool_directory=missing, spool_memory_bytes=1_000_000
    ) as door:
        with pytest.raises(TranscriptionError, match="temporary directory") as caught:
            await door.client.transcribe_file(m4a(), configuration(name="talk.m4a"))
        missing.mkdir()
        await door.client.transcribe_file(m4a(), configuration(name="talk.m4a"))
    assert caught.value.code == StatusCode.UNAVAILABLE
