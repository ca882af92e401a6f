"""Uploads that cannot be transcribed: a clear status that names the field, and a gateway that goes on."""

import io
import wave
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode

from gateway.client import configuration
from serving.calls import response, responses
from serving.status import from_rpc_error
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from support.gateway.deployment import PCM, deployed
from support.gateway.fakes import diarization, recognition

SECOND = bytes(32_000)


def config(**wanted):
    return {"config": configuration(**({"pcm": PCM} | wanted))}


def pcm(**changes):
    fields = {"encoding": audio_pb2.PCM_ENCODING_S16LE, "sample_rate_hz": 16_000, "channels": 1}
    return config(pcm=audio_pb2.PcmFormat(**(fields | changes)))


def hints(**numbers):
    return config(speakers=diarization_pb2.SpeakerHints(**numbers))


def wav(seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(bytes(round(seconds * 16_000) * 2))
    return file.getvalue()


def sound(data: bytes) -> dict[str, bytes]:
    return {"audio": data}


END = {"end_of_audio": audio_pb2.EndOfAudio()}
CONTAINER = {"config": configuration(name="talk.wav")}

BAD = {
    "nothing": ([], "end_of_audio"),
    "an empty message": ([{}], "message"),
    "audio before the config": ([sound(SECOND), config(), END], "audio"),
    "the end before the config": ([END], "end_of_audio"),
    "the config twice": ([config(), sound(SECOND), config(), END], "config"),
    "an empty message within": ([config(), sound(SECOND), {}, END], "message"),
    "no end": ([config(), sound(SECOND)], "end_of_audio"),
    "audio after the end": ([config(), sound(SECOND), END, sound(SECOND)], "audio"),
    "no audio": ([config(), END], "audio"),
    "only empty audio": ([config(), sound(b""), sound(b""), END], "audio"),
    "an empty file": ([CONTAINER, END], "audio"),
    "not audio": ([CONTAINER, sound(b"<html>not found</html>" * 500), END], "audio"),
    "half a file": ([CONTAINER, sound(wav(2.0)[:40_000]), END], "audio"),
    "half a header": ([CONTAINER, sound(wav(2.0)[:20]), END], "audio"),
    "half a sample": ([config(), sound(bytes(32_001)), END], "audio"),
    "a message of 5 MB": ([config(), sound(bytes(5_000_000)), END], "audio"),
    "no format": ([{"config": gateway_pb2.TranscriptionConfig()}, END], "config.audio_format"),
    "no encoding": (
        [pcm(encoding=audio_pb2.PCM_ENCODING_UNSPECIFIED), END],
        "config.audio_format.pcm.encoding",
    ),
    "no rate": ([pcm(sample_rate_hz=0), END], "config.audio_format.pcm.sample_rate_hz"),
    "a rate that cannot be": ([pcm(sample_rate_hz=10**9), END], "config.audio_format.pcm.sample_rate_hz"),
    "a negative rate": ([pcm(sample_rate_hz=-16_000), END], "config.audio_format.pcm.sample_rate_hz"),
    "no channels": ([pcm(channels=0), END], "config.audio_format.pcm.channels"),
    "too many channels": ([pcm(channels=1000), END], "config.audio_format.pcm.channels"),
    "a request id too long": ([config(request_id="x" * 129), END], "config.request_id"),
    "no speakers": ([hints(exact=0), sound(SECOND), END], "config.speakers.exact"),
    "too many speakers": ([hints(maximum=101), sound(SECOND), END], "config.speakers.maximum"),
    "more than at most": ([hints(minimum=3, maximum=2), sound(SECOND), END], "config.speakers.minimum"),
    "exact and at least": ([hints(exact=2, minimum=2), sound(SECOND), END], "config.speakers.minimum"),
    "exact and at most": ([hints(exact=2, maximum=2), sound(SECOND), END], "config.speakers.maximum"),
}

CALLS = ["Transcribe", "TranscribeFile"]


@pytest.fixture
async def door(tmp_path):
    async with deployed(tmp_path, recognition(), diarization()) as deployment:
        yield deployment
        # The services are unharmed.
        assert (await deployment.transcript(1.0)).completed is not None


async def call(address: str, method: str, messages: list[dict]) -> None:
    async def requests() -> AsyncIterator:
        for message in messages:
            yield request(**message)

    request = gateway_pb2.TranscribeRequest if method == "Transcribe" else gateway_pb2.TranscribeFileRequest
    async with grpc.aio.insecure_channel(address) as channel:
        stub = gateway_pb2_grpc.TranscriptionStub(channel)
        stream = getattr(stub, method)(requests())
        if method == "Transcribe":
            async for _ in responses(stream):
                pass
        else:
            await response(stream)


def violated(error: grpc.aio.AioRpcError) -> str:
    request = error_details_pb2.BadRequest()
    for detail in from_rpc_error(error).details:
        if detail.Unpack(request):
            return request.field_violations[0].field
    return ""


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("case", BAD)
async def test_bad_input_is_refused_by_name(door, method, case):
    messages, field = BAD[case]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(door.address, method, messages)
    assert caught.value.code() == StatusCode.INVALID_ARGUMENT
    assert violated(caught.value) == field
    for inside in ("Traceback", "127.0.0.1", "/tmp", "/usr", "Error(", "av."):
        assert inside not in caught.value.details()


@pytest.mark.parametrize("method", CALLS)
async def test_contradictory_hints_reach_no_backend(tmp_path, method):
    asr, diarizer = recognition(), diarization()
    async with deployed(tmp_path, asr, diarizer) as door:
        with pytest.raises(grpc.aio.AioRpcError):
            await call(door.address, method, [hints(minimum=3, maximum=2), sound(SECOND), END])
    assert not asr.calls
    assert not diarizer.calls


@pytest.mark.parametrize("method", CALLS)
async def test_a_recording_may_not_be_longer_than_the_limit(tmp_path, method):
    async with deployed(tmp_path, recognition(), diarization(), max_audio_seconds=2.0) as door:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(door.address, method, [config(), sound(SECOND * 3), END])
    assert caught.value.code() == StatusCode.OUT_OF_RANGE


async def test_an_upload_that_stops_is_not_waited_for(tmp_path):
    async with (
        deployed(tmp_path, recognition(), diarization(), max_idle_seconds=0.2) as door,
        grpc.aio.insecure_channel(door.address) as channel,
    ):
        stream = gateway_pb2_grpc.TranscriptionStub(channel).Transcribe()
        await stream.write(gateway_pb2.TranscribeRequest(**config()))
        await stream.write(gateway_pb2.TranscribeRequest(audio=SECOND))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stream:
                pass
    assert caught.value.code() == StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("samples", [1, 16_000])
async def test_one_sample_and_silence_are_recordings(door, samples):
    transcript = await door.transcript(samples / 16_000)
    assert transcript.completed.duration.ToNanoseconds() == samples * 62_500
    assert transcript.segments == []


async def test_chunks_without_bytes_do_no_harm(door):
    messages = [config(), sound(b""), sound(SECOND), sound(b""), END]
    await call(door.address, "Transcribe", messages)
