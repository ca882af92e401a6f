"""What cannot be decoded is refused in words for the caller: what is wrong, where, who must do what, nothing inside."""

import re

import numpy as np
import pytest

from serving.errors import InvalidAudio, InvalidConfig, RecordingTooLong, Unavailable
from speech.audio.v1 import audio_pb2
from support import audio
from support.decoder import own_decoder
from support.disk import files_no_larger_than

S16, F32 = audio_pb2.PCM_ENCODING_S16LE, audio_pb2.PCM_ENCODING_F32LE
SOUND = audio.signal(6, 44_100)
WAV = audio.wav(SOUND, 44_100)
FLAC = audio.encoded("flac", "flac", SOUND, 44_100)
MP3 = audio.encoded("mp3", "libmp3lame", SOUND, 44_100)
OGG = audio.encoded("ogg", "libopus", audio.signal(6, 48_000), 48_000)
WEBM = audio.encoded("webm", "libopus", audio.signal(6, 48_000), 48_000)
M4A = audio.encoded("mp4", "aac", SOUND, 44_100)
INSIDE = re.compile(
    r"0x[0-9a-f]+|/tmp|/home|\.py|ffmpeg|avcodec|libav|errno|traceback|pyav|\[Errno", re.IGNORECASE
)


async def refusal(data, audio_format=audio.CONTAINER, *, max_seconds=60.0):
    with pytest.raises((InvalidAudio, InvalidConfig, RecordingTooLong)) as caught:
        await audio.decoded(data, audio_format, max_seconds=max_seconds)
    assert not INSIDE.search(caught.value.message)
    return caught.value


NO_AUDIO = {
    "text": b"Dear Sir or Madam, " * 1_000,
    "one byte": b"R",
    "random bytes": np.random.default_rng(3).bytes(200_000),
    "zeros": bytes(100_000),
    "picture": audio.png(),
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "list of files": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "start of a header": WAV[:20],
    "archive": b"PK\x03\x04" + bytes(3_000),
}


@pytest.mark.parametrize("kind", NO_AUDIO)
async def test_not_audio(kind):
    error = await refusal(NO_AUDIO[kind])
    assert isinstance(error, InvalidAudio)
    assert error.field == "audio"
    assert "send" in error.message


@pytest.mark.parametrize(
    "audio_format", [audio.CONTAINER, audio.pcm_format(S16, 16_000), audio.pcm_format(F32, 8_000)]
)
async def test_empty_upload(audio_format):
    error = await refusal(b"", audio_format)
    assert isinstance(error, InvalidAudio)
    assert "no bytes" in error.message


async def test_header_without_sound():
    error = await refusal(audio.wav_header(16_000, data_bytes=0))
    assert "no sound" in error.message


async def test_film_without_sound():
    error = await refusal(audio.film(2, None))
    assert "pictures but no sound" in error.message


TRUNCATED = {
    "wav": WAV,
    "flac": FLAC,
    "mp3": MP3,
    "ogg": OGG,
    "webm": WEBM,
    "m4a": M4A,
    "m4a with its index first": audio.index_first(M4A),
    "film": audio.index_first(audio.film(6, audio.signal(6, 48_000))),
}


@pytest.mark.parametrize("kept", [0.4, 0.9])
@pytest.mark.parametrize("kind", TRUNCATED)
async def test_truncated(kind, kept):
    file = TRUNCATED[kind]
    error = await refusal(file[: round(len(file) * kept)])
    assert isinstance(error, InvalidAudio)
    assert "send the whole file" in error.message


async def test_sound_before_a_truncation_is_still_heard():
    heard = []

    async def listen():
        chunks = audio.in_chunks(WAV[: len(WAV) // 2])
        async with audio.opened(audio.CONTAINER, chunks, max_seconds=60) as recording:
            async for block in recording.blocks():
                heard.append(len(block))  # noqa: PERF401 - what came before the error counts

    with pytest.raises(InvalidAudio, match=r"promises 6\.00 s and 3\.0"):
        await listen()
    assert sum(heard) == pytest.approx(48_000, abs=16)


@pytest.mark.parametrize("declared", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000])
async def test_wav_of_unknown_length_is_no_truncation(declared):
    data = audio.to_s16(SOUND)
    async with audio.opened(
        audio.CONTAINER, audio.in_chunks(audio.wav_header(44_100, data_bytes=declared) + data), max_seconds=60
    ) as recording:
        heard = sum([len(block) async for block in recording.blocks()])
    assert heard == 6 * 16_000
    assert not recording.info.HasField("declared_duration")


async def test_a_few_missing_bytes_are_a_sloppy_header():
    assert len(await audio.decoded(WAV[:-44])) == pytest.approx(6 * 16_000, abs=10)


@pytest.mark.parametrize(
    ("encoding", "rate", "channels", "field"),
    [
        (audio_pb2.PCM_ENCODING_UNSPECIFIED, 16_000, 1, "encoding"),
        (7, 16_000, 1, "encoding"),
        (S16, 0, 1, "sample_rate_hz"),
        (S16, -1, 1, "sample_rate_hz"),
        (S16, 999, 1, "sample_rate_hz"),
        (S16, 384_001, 1, "sample_rate_hz"),
        (S16, 16_000, 0, "channels"),
        (S16, 16_000, -1, "channels"),
        (S16, 16_000, 33, "channels"),
    ],
)
async def test_raw_samples_that_cannot_be(encoding, rate, channels, field):
    error = await refusal(bytes(1_000), audio.pcm_format(encoding, rate, channels))
    assert isinstance(error, InvalidConfig)
    assert error.field == f"config.audio_format.pcm.{field}"


async def test_format_that_is_not_given():
    error = await refusal(bytes(1_000), audio_pb2.AudioFormat())
    assert isinstance(error, InvalidConfig)
    assert error.field == "config.audio_format"


@pytest.mark.parametrize("rate", [0, 1, 999, 400_000, 2**31 - 1, 2**32 - 1])
async def test_wav_with_a_rate_that_cannot_be(rate):
    assert isinstance(await refusal(audio.wav_header(rate, data_bytes=0xFFFFFFFF) + bytes(40)), InvalidAudio)


@pytest.mark.parametrize("channels", [0, 33, 255, 65_535])
async def test_wav_with_channels_that_cannot_be(channels):
    header = audio.wav_header(16_000, channels, data_bytes=0xFFFFFFFF)
    assert isinstance(await refusal(header + bytes(1_000_000)), InvalidAudio)


@pytest.mark.parametrize(
    ("encoding", "rate", "channels", "extra"), [(S16, 16_000, 1, 1), (S16, 16_000, 2, 2), (F32, 8_000, 1, 3)]
)
async def test_raw_samples_that_end_within_one(encoding, rate, channels, extra):
    error = await refusal(bytes(8_000 + extra), audio.pcm_format(encoding, rate, channels))
    assert f"end with {extra} of" in error.message


LONG_MP3 = audio.encoded("mp3", "libmp3lame", SOUND, 44_100, write_xing="0")


@pytest.mark.parametrize(
    ("data", "audio_format"),
    [
        (WAV, audio.CONTAINER),
        (LONG_MP3, audio.CONTAINER),
        (M4A, audio.CONTAINER),
        (bytes(200_000), audio.pcm_format(S16, 16_000)),
        (bytes(400_000), audio.pcm_format(S16, 32_000)),
    ],
)
async def test_too_long(data, audio_format):
    error = await refusal(data, audio_format, max_seconds=4.0)
    assert isinstance(error, RecordingTooLong)
    assert "4 s" in error.message
    assert error.field == "audio"


async def test_limit_itself_is_allowed():
    assert len(await audio.decoded(WAV, max_seconds=6.0)) == 6 * 16_000


@pytest.mark.parametrize(
    "audio_format", [audio.CONTAINER, audio.pcm_format(S16, 16_000), audio.pcm_format(S16, 8_000)]
)
async def test_too_long_is_said_without_reading_on(audio_format):
    given = 0

    async def endless():
        nonlocal given
        yield audio.wav_header(16_000, data_bytes=0xFFFFFFFF)
        while True:
            given += 1
            yield bytes(32_000)

    async def listen():
        async with audio.opened(audio_format, endless(), max_seconds=5) as recording:
            async for _ in recording.blocks():
                pass

    with pytest.raises(RecordingTooLong):
        await listen()
    assert given < 40


async def test_too_long_by_its_header_is_said_at_once():
    header = audio.wav_header(16_000, data_bytes=32_000 * 100)

    async def listen():
        async with audio.opened(audio.CONTAINER, audio.in_chunks(header + bytes(20_000)), max_seconds=60):
            pytest.fail("the header was not believed")

    with pytest.raises(RecordingTooLong):
        await listen()


def damaged(file: bytes, start: float, length: float) -> bytes:
    """Other bytes over a part of it, given as shares."""
    first, count = round(len(file) * start), round(len(file) * length)
    return file[:first] + np.random.default_rng(1).bytes(count) + file[first + count :]


@pytest.mark.parametrize("file", [MP3, FLAC, WEBM, M4A], ids=["mp3", "flac", "webm", "m4a"])
async def test_small_damage_is_a_flaw_and_keeps_the_time(file):
    heard = await audio.decoded(damaged(file, 0.4, 0.02))
    assert len(heard) / 16_000 == pytest.approx(6, abs=0.15)
    lag, correlation = audio.best_lag(heard[-32_000:], audio.signal(6, 16_000)[-32_000:])
    assert abs(lag) < 1_600
    assert correlation > 0.5


@pytest.mark.parametrize("file", [MP3, M4A, FLAC], ids=["mp3", "m4a", "flac"])
async def test_much_damage_is_refused(file):
    assert isinstance(await refusal(damaged(file, 0.2, 0.6)), InvalidAudio)


async def test_pictures_that_turn_up_where_sound_was():
    sound = audio.encoded("mpegts", "aac", audio.signal(6, 48_000), 48_000)
    error = await refusal(sound + audio.film(3, None, container="mpegts"))
    assert "of its first 7.1 s, 1.1 s cannot be decoded" in error.message


async def test_full_disk_is_the_operators():
    with files_no_larger_than(10_000):
        async with own_decoder() as decoder:
            with pytest.raises(Unavailable, match="its operator must make room"):
                await audio.decoded(M4A, decoder=decoder)
