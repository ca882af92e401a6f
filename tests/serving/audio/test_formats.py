"""Every usual format comes out as the sound that went in, at the right time."""

import numpy as np
import pytest

from speech.audio.v1 import audio_pb2
from support import audio

SECONDS = 3.0
REFERENCE = audio.signal(SECONDS, 16_000)

# Container, codec, rate, channels; then how much the encoder adds or takes at the end, in seconds, and the lag allowed:
# 1 sample, or the encoder delay that the format has no place for.
CONTAINERS = [
    ("wav", "pcm_u8", 8_000, 1, 0.0, 1),
    ("wav", "pcm_s16le", 16_000, 1, 0.0, 1),
    ("wav", "pcm_s16le", 44_100, 2, 0.0, 1),
    ("wav", "pcm_s24le", 48_000, 2, 0.0, 1),
    ("wav", "pcm_f32le", 48_000, 1, 0.0, 1),
    ("wav", "pcm_mulaw", 8_000, 1, 0.0, 1),
    ("aiff", "pcm_s16be", 44_100, 1, 0.0, 1),
    ("flac", "flac", 44_100, 2, 0.0, 1),
    ("flac", "flac", 16_000, 1, 0.0, 1),
    ("mp3", "libmp3lame", 44_100, 2, 0.03, 1),
    ("mp3", "libmp3lame", 16_000, 1, 0.08, 1),
    ("ogg", "libopus", 48_000, 1, 0.0, 1),
    ("ogg", "flac", 44_100, 1, 0.0, 1),
    ("webm", "libopus", 48_000, 2, 0.02, 1),
    ("matroska", "aac", 48_000, 1, 0.03, 1),
    ("adts", "aac", 44_100, 1, 0.05, 372),
    ("mpegts", "aac", 48_000, 2, 0.05, 342),
    ("mp4", "aac", 44_100, 2, 0.03, 1),
    ("mp4", "alac", 48_000, 1, 0.0, 1),
    ("wv", "wavpack", 44_100, 1, 0.0, 1),
]


def stereo_if(channels: int, samples: audio.Floats) -> audio.Floats:
    return samples if channels == 1 else np.stack([samples] * channels, axis=1)


@pytest.mark.parametrize(("container", "codec", "rate", "channels", "longer", "lag"), CONTAINERS)
async def test_container(container, codec, rate, channels, longer, lag):
    file = audio.encoded(container, codec, stereo_if(channels, audio.signal(SECONDS, rate)), rate)
    heard = await audio.decoded(file)
    found, correlation = audio.best_lag(heard, REFERENCE)
    assert abs(found) <= lag
    assert correlation > 0.9
    assert 0 <= len(heard) / 16_000 - SECONDS <= longer


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("encoding", ["S16LE", "F32LE"])
async def test_raw_samples(encoding, rate, channels):
    samples = stereo_if(channels, audio.signal(SECONDS, rate))
    data = audio.to_s16(samples) if encoding == "S16LE" else samples.astype("<f4").tobytes()
    audio_format = audio.pcm_format(audio_pb2.PcmEncoding.Value(f"PCM_ENCODING_{encoding}"), rate, channels)
    heard = await audio.decoded(data, audio_format, chunk_bytes=4_099)
    found, correlation = audio.best_lag(heard, REFERENCE)
    assert abs(found) <= 1
    assert correlation > 0.999
    assert len(heard) == SECONDS * 16_000


async def test_level_is_kept():
    heard = await audio.decoded(audio.wav(stereo_if(2, audio.signal(SECONDS, 48_000)), 48_000))
    ratio = np.linalg.norm(heard / 32_768) / np.linalg.norm(REFERENCE)
    assert ratio == pytest.approx(1.0, abs=0.01)


async def test_channels_without_meaning_count_equally():
    apart = np.zeros((16_000, 3), np.float32)
    apart[1_000, 0] = apart[2_000, 1] = apart[3_000, 2] = 0.9
    heard = await audio.decoded(
        audio.to_s16(apart), audio.pcm_format(audio_pb2.PCM_ENCODING_S16LE, 16_000, 3)
    )
    assert heard[[1_000, 2_000, 3_000]] == pytest.approx(0.3 * 32_768, abs=2)


@pytest.mark.parametrize("late", [False, True], ids=["index first", "index at the end"])
async def test_mp4_wherever_its_index_is(late):
    file = audio.encoded("mp4", "aac", audio.signal(SECONDS, 44_100), 44_100)
    heard = await audio.decoded(file if late else audio.index_first(file))
    found, correlation = audio.best_lag(heard, REFERENCE)
    assert abs(found) <= 1
    assert correlation > 0.9


@pytest.mark.parametrize("container", ["mp4", "matroska", "mov"])
async def test_film_gives_its_sound(container):
    heard = await audio.decoded(audio.film(SECONDS, audio.signal(SECONDS, 48_000), container=container))
    found, correlation = audio.best_lag(heard, REFERENCE)
    assert abs(found) <= 1
    assert correlation > 0.9


async def test_cover_is_no_sound():
    heard = await audio.decoded(
        with_cover(audio.encoded("mp3", "libmp3lame", audio.signal(SECONDS, 44_100), 44_100))
    )
    assert audio.best_lag(heard, REFERENCE)[1] > 0.9


def with_cover(mp3: bytes) -> bytes:
    """The same with a picture in an ID3v2.3 tag of its own."""
    picture = b"\x00image/png\x00\x03\x00" + audio.png()
    frame = b"APIC" + len(picture).to_bytes(4, "big") + b"\x00\x00" + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    without_tag = mp3[10 + int.from_bytes(mp3[8:10], "big") :] if mp3[:3] == b"ID3" else mp3
    return b"ID3\x03\x00\x00" + size + frame + without_tag


async def test_information_about_the_recording():
    file = audio.encoded("flac", "flac", stereo_if(2, audio.signal(SECONDS, 44_100)), 44_100)
    async with audio.opened(audio.CONTAINER, audio.in_chunks(file), max_seconds=60) as recording:
        info = recording.info
    assert (info.container, info.codec, info.sample_rate_hz, info.channels) == ("flac", "flac", 44_100, 2)
    assert info.declared_duration.ToNanoseconds() == 3_000_000_000


async def test_information_about_raw_samples():
    audio_format = audio.pcm_format(audio_pb2.PCM_ENCODING_F32LE, 48_000, 2)
    async with audio.opened(audio_format, audio.in_chunks(bytes(8_000)), max_seconds=60) as recording:
        info = recording.info
    assert (info.container, info.codec, info.sample_rate_hz, info.channels) == ("pcm", "pcm_f32le", 48_000, 2)
    assert not info.HasField("declared_duration")


@pytest.mark.parametrize("container", ["mp3", "wav"])
async def test_header_that_ffmpeg_does_not_read_is_declared(container):
    codec = {"mp3": "libmp3lame", "wav": "pcm_s16le"}[container]
    file = audio.encoded(container, codec, audio.signal(SECONDS, 44_100), 44_100)
    async with audio.opened(audio.CONTAINER, audio.in_chunks(file), max_seconds=60) as recording:
        declared = recording.info.declared_duration.ToNanoseconds() / 1e9
    assert declared == pytest.approx(SECONDS, abs=0.06)


async def test_floats_that_are_no_sound_do_not_spread():
    samples = np.full(48_000, 0.25, np.float32)
    samples[10_000], samples[20_000], samples[30_000] = np.nan, np.inf, -1e30
    heard = await audio.decoded(
        samples.astype("<f4").tobytes(), audio.pcm_format(audio_pb2.PCM_ENCODING_F32LE, 48_000)
    )
    away = np.abs(np.arange(16_000)[:, None] - np.array([3_333, 6_667, 10_000])).min(axis=1) > 40
    away[:40] = away[-40:] = False
    assert np.abs(heard[away] - 0.25 * 32_768).max() < 10
    assert heard[6_667] > 0.4 * 32_768
    assert heard[10_000] < -0.1 * 32_768


async def test_fragmented_mp4_declares_nothing():
    file = audio.encoded(
        "mp4",
        "aac",
        audio.signal(SECONDS, 44_100),
        44_100,
        movflags="frag_keyframe+empty_moov",
        frag_duration="500000",
    )
    async with audio.opened(audio.CONTAINER, audio.in_chunks(file), max_seconds=60) as recording:
        heard = np.concatenate([block async for block in recording.blocks()])
    assert not recording.info.HasField("declared_duration")
    assert len(heard) / 16_000 == pytest.approx(SECONDS, abs=0.06)


async def test_a_title_in_another_encoding_is_nobodys_business():
    title = b"LIST" + (18).to_bytes(4, "little") + b"INFOINAM" + (6).to_bytes(4, "little") + b"Caf\xe9s\0"
    file = audio.wav(audio.signal(1, 16_000), 16_000)
    assert len(await audio.decoded(file[:12] + title + file[12:])) == 16_000
