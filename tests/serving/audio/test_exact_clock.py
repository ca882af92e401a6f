"""The number of samples and their places are exact, for an hour as for one sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.audio.v1 import audio_pb2
from support import audio

HOUR = 3_600


async def hour_with_an_impulse(rate, at_second, header):
    """16 bits, mono; silence but for one sample near the end."""
    yield header
    second = bytes(2 * rate)
    for start in range(0, HOUR, 10):
        piece = bytearray(second * 10)
        place = 2 * round((at_second - start) * rate)
        if 0 <= place < len(piece):
            piece[place : place + 2] = (32_767).to_bytes(2, "little")
        yield bytes(piece)


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("container", [True, False], ids=["wav", "raw"])
async def test_an_hour(rate, container):
    at_second = HOUR - 1.25
    audio_format = audio.CONTAINER if container else audio.pcm_format(audio_pb2.PCM_ENCODING_S16LE, rate)
    header = audio.wav_header(rate, data_bytes=2 * rate * HOUR) if container else b""
    position, peaks = 0, []
    chunks = hour_with_an_impulse(rate, at_second, header)
    async with audio.opened(audio_format, chunks, max_seconds=HOUR) as recording:
        async for block in recording.blocks():
            if block.max() > 5_000:
                peaks.append(position + int(block.argmax()))
            position += len(block)
    assert position == HOUR * 16_000
    assert peaks == [pytest.approx(at_second * 16_000, abs=1)]


async def test_rounded_stamps_do_not_wander():
    """WebM's are milliseconds, where a packet of Opus begins every 20.0 and a frame of FLAC every 26.1."""
    sound = np.tile(audio.signal(10, 44_100), 6)
    heard = await audio.decoded(
        audio.encoded("matroska", "flac", sound, 44_100, frame_size="1152"), chunk_bytes=2**20
    )
    assert len(heard) == 60 * 16_000
    assert audio.best_lag(heard[50 * 16_000 :], audio.signal(10, 16_000))[0] == 0


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from([1_000, 8_000, 11_025, 22_050, 44_100, 48_000, 192_000, 384_000]),
    length=st.integers(1, 60_000),
    chunk_bytes=st.integers(1, 30_000),
)
async def test_any_length_is_rounded_to_the_nearest_sample(rate, length, chunk_bytes):
    data = bytes(2 * length)
    heard = await audio.decoded(
        data, audio.pcm_format(audio_pb2.PCM_ENCODING_S16LE, rate), chunk_bytes=max(chunk_bytes, length // 50)
    )
    assert len(heard) == max(1, int(length * 16_000 / rate + 0.5))


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
async def test_one_sample_is_a_recording(rate):
    heard = await audio.decoded(audio.wav(np.array([0.5], np.float32), rate))
    assert len(heard) == max(1, round(16_000 / rate))


async def test_gap_in_the_stamps_becomes_silence():
    sound = audio.signal(2, 48_000)
    file = audio.encoded_pieces("matroska", "flac", [(0.0, sound), (5.0, sound)], 48_000)
    heard = await audio.decoded(file)
    assert len(heard) / 16_000 == pytest.approx(7.0, abs=0.002)
    assert not heard[33_000:79_000].any()
    assert audio.best_lag(heard[80_000:], audio.signal(2, 16_000))[0] == pytest.approx(0, abs=16)


async def test_sound_that_begins_after_the_pictures_keeps_its_time():
    heard = await audio.decoded(audio.film(4, audio.signal(2, 48_000), container="matroska", sound_at=1.5))
    assert not heard[:23_000].any()
    assert audio.best_lag(heard[24_000:], audio.signal(2, 16_000))[0] == pytest.approx(0, abs=400)


@pytest.mark.parametrize("second_rate", [44_100, 22_050])
async def test_rate_that_changes_midway(second_rate):
    """Two MP3 files in one, as recorders and podcasts make them."""
    first = audio.encoded(
        "mp3", "libmp3lame", audio.signal(2, 44_100), 44_100, write_xing="0", id3v2_version="0"
    )
    second = audio.encoded(
        "mp3", "libmp3lame", audio.signal(2, second_rate), second_rate, write_xing="0", id3v2_version="0"
    )
    heard = await audio.decoded(first + second)
    assert len(heard) / 16_000 == pytest.approx(4, abs=0.25)
    for part in (heard[:32_000], heard[-34_000:]):
        assert audio.best_lag(part, audio.signal(2, 16_000), span=4_000)[1] > 0.8


@pytest.mark.parametrize(
    ("container", "codec"), [("ogg", "libopus"), ("ogg", "flac"), ("flac", "flac"), ("mpegts", "aac")]
)
async def test_joined_files_are_heard_whole(container, codec):
    """Their stamps start anew in the middle."""
    file = audio.encoded(container, codec, audio.signal(3, 48_000), 48_000)
    heard = await audio.decoded(file + file)
    assert len(heard) / 16_000 == pytest.approx(6, abs=0.1)
    for part in (heard[:48_000], heard[-48_000:]):
        assert audio.best_lag(part, audio.signal(3, 16_000))[1] > 0.9
