"""Sound comes while the upload still runs, nothing piles up, and leaving early leaves nothing behind."""

import asyncio
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from serving.audio import MAX_BLOCK_SAMPLES
from serving.errors import Abandoned
from speech.audio.v1 import audio_pb2
from support import audio
from support.decoder import children_of, shared_decoder
from support.waiting import until

S16_MONO_16K = audio.pcm_format(audio_pb2.PCM_ENCODING_S16LE, 16_000)
S16_MONO_48K = audio.pcm_format(audio_pb2.PCM_ENCODING_S16LE, 48_000)
SECONDS = 12.0


@pytest.fixture(autouse=True)
async def nothing_stays():
    decoder = await shared_decoder()
    before = threads_and_files()
    yield
    assert threads_and_files() == before
    await until(lambda: not children_of(decoder))


def threads_and_files():
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


async def listen(audio_format, chunks):
    async with audio.opened(audio_format, chunks, max_seconds=60) as recording:
        async for _ in recording.blocks():
            pass


class Upload:
    """Gives `first`, then waits until `release` is set before it gives the rest."""

    def __init__(self, first: bytes, rest: bytes = b"") -> None:
        self.parts = [first, rest]
        self.release = asyncio.Event()

    async def chunks(self):
        yield self.parts[0]
        await self.release.wait()
        yield self.parts[1]


def file_of(container, codec, rate):
    file = audio.encoded(container, codec, audio.signal(SECONDS, rate), rate)
    return audio.index_first(file) if container == "mp4" else file


STREAMED = [
    ("wav", "pcm_s16le", 44_100),
    ("wav", "pcm_s16le", 16_000),
    ("flac", "flac", 44_100),
    ("mp3", "libmp3lame", 44_100),
    ("ogg", "libopus", 48_000),
    ("webm", "libopus", 48_000),
    ("adts", "aac", 44_100),
    ("mp4", "aac", 44_100),
]


@pytest.mark.parametrize(("container", "codec", "rate"), STREAMED)
async def test_sound_comes_while_the_rest_is_withheld(container, codec, rate):
    file = file_of(container, codec, rate)
    half = len(file) // 2
    upload = Upload(file[:half], file[half:])
    heard = 0
    async with (
        asyncio.timeout(10),
        audio.opened(audio.CONTAINER, upload.chunks(), max_seconds=60) as recording,
    ):
        async for block in recording.blocks():
            heard += len(block)
            if heard > 0.4 * SECONDS * 16_000:
                upload.release.set()
    assert heard / 16_000 == pytest.approx(SECONDS, abs=0.06)


@pytest.mark.parametrize("audio_format", [S16_MONO_16K, S16_MONO_48K], ids=["16 kHz", "48 kHz"])
async def test_slow_samples_are_not_held_back(audio_format):
    upload = Upload(bytes(9_600))
    async with (
        asyncio.timeout(10),
        audio.opened(audio_format, upload.chunks(), max_seconds=60) as recording,
    ):
        block = await anext(recording.blocks())
    given = 4_800 * 16_000 // audio_format.pcm.sample_rate_hz
    assert given - 40 <= len(block) <= given


async def test_mp4_with_late_index_waits_for_the_end():
    file = audio.encoded("mp4", "aac", audio.signal(SECONDS, 44_100), 44_100)
    upload = Upload(file[:-10], file[-10:])
    with pytest.raises(TimeoutError):
        async with (
            asyncio.timeout(0.3),
            audio.opened(audio.CONTAINER, upload.chunks(), max_seconds=60),
        ):
            pass


async def test_blocks_are_bounded_and_full_when_there_is_enough():
    file = audio.wav(audio.signal(SECONDS, 44_100), 44_100)
    async with audio.opened(audio.CONTAINER, audio.in_chunks(file, 10**7), max_seconds=60) as recording:
        lengths = [len(block) async for block in recording.blocks()]
    assert max(lengths) == MAX_BLOCK_SAMPLES
    assert len(lengths) <= SECONDS + 2


async def test_who_does_not_take_is_not_sent_more():
    given = 0

    async def endless():
        nonlocal given
        while True:
            given += 65_536
            yield bytes(65_536)

    async with asyncio.timeout(10), audio.opened(S16_MONO_48K, endless(), max_seconds=1e9) as recording:
        blocks = recording.blocks()
        await anext(blocks)
        await asyncio.sleep(0.2)
        before = given
        await asyncio.sleep(0.2)
        assert given == before < 2**20
        for _ in range(8):
            await anext(blocks)
        await asyncio.sleep(0.2)
        assert given > before


async def test_loop_stays_free_while_ffmpeg_works():
    file = audio.encoded("ogg", "libopus", np.tile(audio.signal(10, 48_000), 12), 48_000)
    worst = 0.0

    async def tick():
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - before)

    ticking = asyncio.create_task(tick())
    start = time.perf_counter()
    await audio.decoded(file, chunk_bytes=2**22)
    took = time.perf_counter() - start
    ticking.cancel()
    assert worst < max(0.5 * took, 0.1)


@pytest.mark.parametrize("audio_format", [audio.CONTAINER, S16_MONO_16K, S16_MONO_48K])
async def test_upload_that_fails_is_the_reason(audio_format):
    async def chunks():
        yield audio.wav(audio.signal(3, 44_100), 44_100)
        raise Abandoned("the caller went away")

    with pytest.raises(Abandoned, match="went away"):
        await listen(audio_format, chunks())


async def test_upload_that_fails_before_any_sound():
    async def chunks():
        yield b"RIFF"
        raise Abandoned("the caller went away")

    with pytest.raises(Abandoned, match="went away"):
        await listen(audio.CONTAINER, chunks())


WAITS = {
    "for the first bytes": (audio.CONTAINER, b""),
    "for more of a header": (audio.CONTAINER, b"RIFF"),
    "for more sound": (audio.CONTAINER, audio.wav(audio.signal(3, 44_100), 44_100)[:-1000]),
    "for the end of an MP4": (
        audio.CONTAINER,
        audio.encoded("mp4", "aac", audio.signal(3, 44_100), 44_100)[:-10],
    ),
    "for raw samples": (S16_MONO_48K, bytes(1_000)),
    "for ready samples": (S16_MONO_16K, bytes(1_000)),
}


@pytest.mark.parametrize("wait", WAITS)
async def test_cancelled_while_it_waits(wait):
    audio_format, first = WAITS[wait]

    task = asyncio.create_task(listen(audio_format, Upload(first).chunks()))
    await asyncio.sleep(0.05)
    assert not task.done()
    task.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_left_while_the_decoder_is_ahead():
    file = audio.wav(audio.signal(SECONDS, 44_100), 44_100)
    async with audio.opened(audio.CONTAINER, audio.in_chunks(file), max_seconds=60):
        await asyncio.sleep(0.1)


async def test_empty_chunks_are_nothing():
    file = audio.wav(audio.signal(1, 44_100), 44_100)

    async def chunks():
        for start in range(0, len(file), 5_001):
            yield b""
            yield file[start : start + 5_001]
        yield b""

    async with audio.opened(audio.CONTAINER, chunks(), max_seconds=60) as recording:
        assert sum([len(block) async for block in recording.blocks()]) == 16_000


async def test_what_follows_the_sound_is_read_to_its_end():
    file = audio.wav(audio.signal(1, 44_100), 44_100)

    async def chunks():
        yield file
        yield bytes(10**6)
        raise Abandoned("the caller went away")

    with pytest.raises(Abandoned):
        await listen(audio.CONTAINER, chunks())


async def test_many_at_once():
    file = audio.encoded("mp3", "libmp3lame", audio.signal(3, 44_100), 44_100)
    alone = await audio.decoded(file)
    together = await asyncio.gather(*[audio.decoded(file, chunk_bytes=1_000) for _ in range(20)])
    assert all(np.array_equal(heard, alone) for heard in together)
