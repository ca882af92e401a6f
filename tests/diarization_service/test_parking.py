"""Audio that waits on disk is whole, or the recording fails."""

import os
from pathlib import Path

import pytest

from diarization_service.parking import ParkedAudio, parked_audio
from serving.errors import Unavailable
from support.disk import files_no_larger_than


async def write_and_read(audio: ParkedAudio, pcm: bytes) -> bytes:
    for start in range(0, len(pcm), 32_000):
        await audio.write(pcm[start : start + 32_000])
    return b"".join([piece async for piece in audio.read()])


@pytest.mark.parametrize("size", [0, 2, 20_000, 3_000_000])
async def test_what_was_written_is_read(size: int) -> None:
    pcm = bytes(range(250)) * (size // 250) + bytes(size % 250)
    async with parked_audio() as audio:
        assert await write_and_read(audio, pcm) == pcm
        assert audio.samples == size // 2


@pytest.mark.parametrize("size", [20_000, 3_000_000])
async def test_a_disk_that_takes_only_a_part_is_full(size: int) -> None:
    async with parked_audio() as audio:
        with files_no_larger_than(size // 2), pytest.raises(Unavailable, match="operator must make room"):
            await write_and_read(audio, bytes(size))


async def test_a_disk_that_fails_is_the_operators() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with (
        os.fdopen(writing, "wb", buffering=0) as broken,
        pytest.raises(Unavailable, match="its operator must see"),
    ):
        await ParkedAudio(broken).write(bytes(3_000_000))


async def test_a_file_that_cannot_be_read_is_the_operators() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with (
        os.fdopen(writing, "wb", buffering=0) as broken,
        pytest.raises(Unavailable, match="its operator must see"),
    ):
        await write_and_read(ParkedAudio(broken), b"")


async def test_a_missing_directory_is_the_operators(tmp_path: Path) -> None:
    with pytest.raises(
        Unavailable, match=r"the diarization service's disk .* its operator must see"
    ) as caught:
        async with parked_audio(tmp_path / "missing"):
            pass
    assert str(tmp_path) not in caught.value.message
