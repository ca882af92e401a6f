"""What a recording may cost: more ends its decoder, with an error that says which bound it was, and never the service."""

import io
import signal

import numpy as np
import pytest

from serving.audio import endings
from serving.decoding.expansion import Expansion
from serving.decoding.source import prepared
from serving.errors import InvalidAudio, RecordingTooLong, Unavailable
from support import audio

SILENCE = np.zeros(150 * 16_000, np.float32)


async def endless(header=b"", piece=bytes(64 * 1024)):
    yield header
    while True:
        yield piece


async def test_memory():
    file = audio.encoded("mp4", "aac", audio.signal(3, 48_000), 48_000)
    with pytest.raises(InvalidAudio, match="more than the 524,288 bytes of memory"):
        await audio.decoded(file, decoder_memory_bytes=512 * 1024)


async def test_cpu_time():
    header = audio.wav_header(96_000, data_bytes=0xFFFFFFFF)

    async def listen():
        async with audio.opened(
            audio.CONTAINER, endless(header), max_seconds=1e9, decoder_cpu_seconds=1.0, decoder_cpu_ratio=0.0
        ) as recording:
            async for _ in recording.blocks():
                pass

    with pytest.raises(InvalidAudio, match="more computing than the 1 s of CPU time"):
        await listen()


async def test_size_of_the_upload():
    file = audio.wav(audio.signal(3, 44_100), 44_100)
    assert await audio.decoded(file, max_upload_bytes=len(file)) is not None
    with pytest.raises(RecordingTooLong, match="larger than the 100,000 bytes"):
        await audio.decoded(file, max_upload_bytes=100_000)


async def test_size_of_what_is_kept_on_disk():
    file = audio.encoded("mp4", "aac", audio.signal(6, 44_100), 44_100)
    with pytest.raises(RecordingTooLong, match="larger than the 10,000 bytes"):
        await audio.decoded(file, max_upload_bytes=10_000)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("flac", "flac", 16_000), ("ogg", "libopus", 48_000), ("mp4", "alac", 16_000)],
)
async def test_minutes_of_silence_are_no_bomb(container, codec, rate):
    silence = np.zeros(150 * rate, np.float32)
    assert len(await audio.decoded(audio.encoded(container, codec, silence, rate))) >= 150 * 16_000


async def test_silence_that_costs_too_few_bytes():
    file = audio.encoded("flac", "flac", SILENCE, 16_000)
    with pytest.raises(InvalidAudio, match="more than 20 times as much sound"):
        await audio.decoded(file, max_decompression_ratio=20.0)


async def test_hours_between_two_stamps_are_too_much_for_a_small_file():
    second = audio.signal(1, 48_000)
    file = audio.encoded_pieces("matroska", "libopus", [(0.0, second), (10_000.0, second)], 48_000)
    with pytest.raises(InvalidAudio, match="most of it silence"):
        await audio.decoded(file)


def test_a_small_upload_may_hold_a_minute():
    bomb = Expansion(100.0, lambda: 10)
    bomb.check(60.0)
    with pytest.raises(InvalidAudio):
        bomb.check(60.1)


def test_how_far_streams_are_looked_for():
    film = audio.film(1, audio.signal(1, 48_000), container="mpegts")
    with prepared(io.BytesIO(film).read, max_probe_bytes=4096, directory=None) as source:
        assert source.probe_bytes == 4096


@pytest.mark.parametrize(
    ("number", "cause", "error", "words"),
    [
        (signal.SIGSEGV, "crashed", InvalidAudio, "breaks the decoder"),
        (signal.SIGABRT, "crashed", InvalidAudio, "breaks the decoder"),
        (signal.SIGXCPU, "cpu_time", InvalidAudio, "more computing"),
        (signal.SIGKILL, "killed", Unavailable, "killed from outside"),
        (signal.SIGTERM, "killed", Unavailable, "killed from outside"),
    ],
)
def test_what_a_signal_says_of_the_recording(number, cause, error, words):
    assert endings.cause(int(number)) == cause
    told = endings.early_end(int(number), audio.bounds())
    assert type(told) is error
    assert words in told.message


def test_a_decoder_without_a_fork_server_was_lost():
    assert endings.cause(None) == "lost"
    assert type(endings.early_end(None, audio.bounds())) is Unavailable
