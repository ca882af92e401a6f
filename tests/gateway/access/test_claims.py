"""One request id, one recording at a time."""

import asyncio

import grpc
import pytest

from benchmarks.faults.proxy import Proxy
from gateway.access.claims import Claims
from gateway.client import TranscriptionClient, TranscriptionError, configuration
from serving.errors import AlreadyRunning
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from support.calling import refusal
from support.gateway.deployment import PCM, audio, deployed
from support.gateway.fakes import diarization, failing, hanging, recognition
from support.waiting import until


@pytest.fixture
def claims():
    return Claims(patience_seconds=0.05)


async def test_an_id_is_refused_while_it_is_in_use_and_free_afterwards(claims):
    async with claims.held("billing", "call-7"):
        with pytest.raises(AlreadyRunning) as caught:
            async with claims.held("billing", "call-7"):
                raise AssertionError
        assert caught.value.field == "config.request_id"
    async with claims.held("billing", "call-7"):
        pass


async def test_an_id_belongs_to_its_caller_and_no_id_to_nobody(claims):
    async with (
        claims.held("billing", "call-7"),
        claims.held("archive", "call-7"),
        claims.held("billing", "call-8"),
        claims.held("billing", ""),
        claims.held("billing", ""),
    ):
        pass


async def test_a_call_that_fails_lets_go_of_its_id(claims):
    with pytest.raises(KeyError):
        async with claims.held("billing", "call-7"):
            raise KeyError
    async with claims.held("billing", "call-7"):
        pass


async def test_a_call_that_comes_while_the_first_one_winds_up_is_let_in(claims):
    claims = Claims(patience_seconds=10.0)
    entered = asyncio.Event()

    async def second():
        async with claims.held("billing", "call-7"):
            entered.set()

    async with asyncio.TaskGroup() as tasks, claims.held("billing", "call-7"):
        tasks.create_task(second())
        await asyncio.sleep(0)
        assert not entered.is_set()
    assert entered.is_set()


async def test_of_several_that_wait_one_at_a_time_is_let_in():
    claims, inside, most = Claims(patience_seconds=10.0), 0, 0

    async def work():
        nonlocal inside, most
        async with claims.held("billing", "call-7"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(10)))
    assert most == 1


UTTERANCE = (0.5, 2.5, "hello there you")


async def test_a_recording_that_is_sent_twice_at_once_is_computed_once(tmp_path):
    asr, diarizer = recognition(UTTERANCE), diarization()
    asr.released.clear()
    async with deployed(tmp_path, asr, diarizer) as door:
        first = asyncio.create_task(door.transcript(request_id="call-7"))
        await asr.called.wait()
        error = await refusal(door.transcript(request_id="call-7"))
        assert (error.code, error.field) == (grpc.StatusCode.ALREADY_EXISTS, "config.request_id")
        asr.released.set()
        assert (await first).text == UTTERANCE[2]
        assert (len(asr.calls), len(diarizer.calls)) == (1, 1)
        # Once it has ended its caller may send it again.
        assert (await door.file(request_id="call-7")).segments[0].text == UTTERANCE[2]


async def test_a_caller_who_gave_up_may_call_again_at_once(tmp_path):
    asr = recognition(UTTERANCE)
    asr.released.clear()
    async with deployed(tmp_path, asr, diarization()) as door:
        first = asyncio.create_task(door.transcript(request_id="call-7"))
        await asr.called.wait()
        first.cancel()
        asr.released.set()
        assert (await door.transcript(request_id="call-7")).text == UTTERANCE[2]


async def test_a_caller_who_vanished_may_call_again_once_the_gateway_has_noticed(tmp_path):
    asr = recognition(UTTERANCE, faults=[hanging()])
    async with (
        Proxy.listening() as way,
        deployed(tmp_path, asr, diarization(), keepalive_seconds=1.0) as door,
        TranscriptionClient(way.address) as vanishing,
    ):
        way.target = door.address
        config = configuration(pcm=PCM, request_id="call-7")
        first = asyncio.create_task(vanishing.transcribe_file(audio(5.0), config))
        await asr.called.wait()
        way.swallow()
        async with asyncio.timeout(20):
            while (transcript := await unless_refused(door.transcript(request_id="call-7"))) is None:
                pass
        assert transcript.text == UTTERANCE[2]
        # Nothing was computed for the first one any more when the second one began.
        assert [call.ending.done() for call in asr.calls] == [True, True]
        first.cancel()
        way.cut()


async def unless_refused(call):
    try:
        return await call
    except TranscriptionError as error:
        if error.code is not grpc.StatusCode.ALREADY_EXISTS:
            raise
        return None


async def test_ids_that_nobody_chose_never_meet(tmp_path):
    """A proxy puts the same x-request-id into all calls that serve one request of somebody's."""
    asr = recognition(UTTERANCE)
    asr.released.clear()
    async with (
        deployed(tmp_path, asr, diarization()) as door,
        grpc.aio.insecure_channel(door.address) as channel,
    ):
        both = [asyncio.create_task(started(channel, "of-the-mesh")) for _ in range(2)]
        assert await asyncio.gather(*both) == ["of-the-mesh", "of-the-mesh"]
        await until(lambda: len(asr.calls) == 2)


async def started(channel, header):
    """The id that the first event of a recording tells."""
    stub = gateway_pb2_grpc.TranscriptionStub(channel)
    call = stub.Transcribe(metadata=(("x-request-id", header),))
    await call.write(gateway_pb2.TranscribeRequest(config=configuration(pcm=PCM)))
    await call.write(gateway_pb2.TranscribeRequest(audio=bytes(32_000)))
    return (await call.read()).started.request_id


async def test_the_gateways_own_second_call_to_a_backend_bears_the_same_id(tmp_path):
    asr = recognition(UTTERANCE, faults=[failing(grpc.StatusCode.UNAVAILABLE)])
    async with deployed(tmp_path, asr, diarization()) as door:
        config = configuration(pcm=PCM, request_id="call-7")
        events = [event async for event in door.client.transcribe(audio(5.0), config)]
    assert events[-1].completed.words == 3
    assert [call.request_id for call in asr.calls] == ["call-7", "call-7"]
