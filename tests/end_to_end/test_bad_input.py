"""Whatever callers send to the real gateway: a clear status that names the field, and everything unharmed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from grpc import StatusCode, aio

from benchmarks.corpus import conversation
from gateway.client import TranscriptionError, configuration
from serving.calls import responses
from serving.status import from_rpc_error
from speech.audio.v1 import audio_pb2
from speech.diarization.v1.diarization_pb2 import SpeakerHints
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from support.deployment import Deployment
from support.transcripts import Caller, chunked

pytestmark = pytest.mark.models

S16LE = audio_pb2.PCM_ENCODING_S16LE
END = gateway_pb2.TranscribeRequest(end_of_audio=audio_pb2.EndOfAudio())
CONFIG = gateway_pb2.TranscribeRequest(config=configuration(name="recording.wav"))


def pcm(rate: int = 16_000, channels: int = 1) -> audio_pb2.PcmFormat:
    return audio_pb2.PcmFormat(encoding=S16LE, sample_rate_hz=rate, channels=channels)


def audio(data: bytes) -> gateway_pb2.TranscribeRequest:
    return gateway_pb2.TranscribeRequest(audio=data)


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return conversation(5).write_wav(tmp_path_factory.mktemp("recordings") / "short.wav").read_bytes()


@pytest.fixture(autouse=True)
def unharmed(deployment: Deployment) -> "AsyncIterator[None]":
    """After each case: all three serve on, and no temporary file is left."""
    yield
    assert all(process.process.poll() is None for process in deployment.processes)
    assert all(process.is_serving() for process in deployment.processes)
    assert deployment.temporary_files() == []


def silent_video(path: Path) -> bytes:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


async def refusal(caller: Caller, data: bytes, **config: object) -> TranscriptionError:
    with pytest.raises(TranscriptionError) as caught:
        await caller.events(chunked(data), **config)
    return caught.value


def assert_clear(error: TranscriptionError, code: StatusCode, field: str) -> None:
    assert error.code == code
    assert error.field == field
    assert len(error.message) > 10
    for inside in ("Traceback", "/site-packages", "0x", ".py", "127.0.0.1", "Errno", "av.error"):
        assert inside not in error.message


async def test_empty_upload(caller: Caller) -> None:
    assert_clear(await refusal(caller, b"", name="empty.wav"), StatusCode.INVALID_ARGUMENT, "audio")


async def test_not_audio(caller: Caller) -> None:
    error = await refusal(caller, b"Dear all, please find attached. " * 500, name="letter.wav")
    assert_clear(error, StatusCode.INVALID_ARGUMENT, "audio")


async def test_truncated_in_the_middle(caller: Caller, wav: bytes) -> None:
    error = await refusal(caller, wav[: len(wav) // 2], name="half.wav")
    assert_clear(error, StatusCode.INVALID_ARGUMENT, "audio")


async def test_video_without_sound(caller: Caller, tmp_path: Path) -> None:
    error = await refusal(caller, silent_video(tmp_path / "silent.mp4"), name="silent.mp4")
    assert_clear(error, StatusCode.INVALID_ARGUMENT, "audio")


@pytest.mark.parametrize(
    ("format_", "field"),
    [
        (pcm(rate=0), "sample_rate_hz"),
        (pcm(rate=5_000_000), "sample_rate_hz"),
        (pcm(channels=0), "channels"),
        (pcm(channels=-2), "channels"),
        (pcm(channels=1_000), "channels"),
        (audio_pb2.PcmFormat(sample_rate_hz=16_000, channels=1), "encoding"),
    ],
)
async def test_samples_that_cannot_be(caller: Caller, format_: audio_pb2.PcmFormat, field: str) -> None:
    error = await refusal(caller, bytes(3200), pcm=format_)
    assert_clear(error, StatusCode.INVALID_ARGUMENT, f"config.audio_format.pcm.{field}")


@pytest.mark.parametrize(
    ("hints", "field"),
    [
        (SpeakerHints(exact=2, maximum=3), "maximum"),
        (SpeakerHints(minimum=4, maximum=2), "minimum"),
        (SpeakerHints(exact=0), "exact"),
        (SpeakerHints(maximum=1_000), "maximum"),
    ],
)
async def test_contradictory_hints(caller: Caller, wav: bytes, hints: SpeakerHints, field: str) -> None:
    error = await refusal(caller, wav, speakers=hints)
    assert_clear(error, StatusCode.INVALID_ARGUMENT, f"config.speakers.{field}")


async def test_a_language_that_the_model_does_not_know(caller: Caller, wav: bytes) -> None:
    error = await refusal(caller, wav, language="tlh")
    assert_clear(error, StatusCode.INVALID_ARGUMENT, "config.language")


async def status_of(
    deployment: Deployment, messages: Sequence[gateway_pb2.TranscribeRequest]
) -> TranscriptionError:
    """How the gateway ends a call of exactly these messages."""
    async with aio.insecure_channel(deployment.gateway.address) as channel:
        call = gateway_pb2_grpc.TranscriptionStub(channel).Transcribe()
        events = responses(call)
        try:
            for message in messages:
                await call.write(message)
            await call.done_writing()
        except (aio.AioRpcError, asyncio.InvalidStateError):
            pass  # It ended the call already; reading tells how.
        try:
            async for _ in events:
                pass
        except aio.AioRpcError as error:
            status = from_rpc_error(error)
            return TranscriptionError(error.code(), status.message)
    raise AssertionError("the gateway accepted it")


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([CONFIG, CONFIG, END], id="config twice"),
        pytest.param([audio(b"RIFF"), CONFIG, END], id="audio before config"),
        pytest.param([END], id="no config"),
        pytest.param([CONFIG, gateway_pb2.TranscribeRequest(), END], id="empty message"),
        pytest.param([CONFIG, audio(bytes(5_000_000)), END], id="message of 5 MB"),
        pytest.param([], id="nothing at all"),
    ],
)
async def test_messages_out_of_order(
    deployment: Deployment, messages: Sequence[gateway_pb2.TranscribeRequest]
) -> None:
    error = await status_of(deployment, messages)
    assert error.code == StatusCode.INVALID_ARGUMENT
    assert len(error.message) > 10


async def test_no_end_marker(deployment: Deployment, wav: bytes) -> None:
    error = await status_of(deployment, [CONFIG, audio(wav)])
    assert error.code == StatusCode.INVALID_ARGUMENT
    assert "end_of_audio" in error.message


async def test_zero_length_chunks_are_nothing(caller: Caller, wav: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b""
        yield wav
        yield b""

    events = await caller.events(chunks(), name="short.wav")
    assert events[-1].HasField("completed")
    assert events[-1].completed.words > 3


@pytest.mark.parametrize("samples", [1, 16_000 * 5], ids=["one sample", "silence"])
async def test_nothing_said(caller: Caller, samples: int) -> None:
    events = await caller.events(chunked(bytes(2 * samples)), pcm=pcm())
    completed = events[-1].completed
    assert (completed.words, completed.segments, list(completed.speakers)) == (0, 0, [])
    assert completed.duration.ToNanoseconds() == samples * 62_500


async def test_cancelled_half_way(caller: Caller, deployment: Deployment, wav: bytes) -> None:
    events = caller.client.transcribe(chunked(wav, size=4096, pause=0.05), configuration(name="short.wav"))
    async for event in events:
        if event.HasField("progress"):
            break
    assert deployment.temporary_files()
    await events.aclose()
    for _ in range(100):
        if not deployment.temporary_files():
            return
        await asyncio.sleep(0.1)
    pytest.fail("the spool outlived the call by 10 s")


async def test_the_deadline_of_the_caller_is_kept(caller: Caller, wav: bytes) -> None:
    with pytest.raises(TranscriptionError) as caught:
        async for _ in caller.client.transcribe(chunked(wav), configuration(name="short.wav"), timeout=0.2):
            pass
    assert caught.value.code == StatusCode.DEADLINE_EXCEEDED
