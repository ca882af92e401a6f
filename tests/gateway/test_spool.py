"""The spool: whatever the order of writes and reads, every reader gets the same bytes, and nothing is left."""

import asyncio
import gc
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.spool import PIECE_BYTES, Spool
from serving.errors import Abandoned, Unavailable
from support.disk import files_no_larger_than

# Each step: a reader of the numbered three takes a piece, or bytes are written.
STEPS = st.lists(st.integers(0, 2) | st.binary(max_size=300) | st.just(b"x" * (PIECE_BYTES + 7)), max_size=30)


async def everything(spool):
    return b"".join([piece async for piece in spool.reader()])


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([0, 1, 500, 10**6]))
def test_any_interleaving_gives_identical_bytes(steps, memory_bytes):
    async def scenario():
        spool = Spool(memory_bytes)
        readers = [spool.reader() for _ in range(3)]
        heard = [b"", b"", b""]
        written = b""
        for step in steps:
            if isinstance(step, bytes):
                await spool.write(step)
                written += step
            elif len(heard[step]) < len(written):
                heard[step] += await anext(readers[step])
        assert spool.seconds_written == len(written) / 32_000
        spool.finish()
        for index, reader in enumerate(readers):
            heard[index] += b"".join([piece async for piece in reader])
        late = await everything(spool)
        spool.close()
        assert {*heard, late} == {written}

    asyncio.run(scenario())


@pytest.mark.parametrize("memory_bytes", [0, 10**6])
async def test_readers_wait_for_more(memory_bytes):
    spool = Spool(memory_bytes)
    reader = spool.reader()
    waiting = asyncio.create_task(anext(reader))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await spool.write(b"abcd")
    assert await waiting == b"abcd"
    spool.finish()
    assert await anext(reader, None) is None
    spool.close()


async def test_what_follows_a_small_piece_comes_together_at_the_end_at_the_latest():
    spool = Spool(10**6)
    reader = spool.reader(gather_seconds=60)
    await spool.write(b"ab")
    assert await anext(reader) == b"ab"
    waiting = asyncio.create_task(anext(reader))
    for written in (b"cd", b"ef"):
        await spool.write(written)
        await asyncio.sleep(0)
    assert not waiting.done()
    spool.finish()
    assert await waiting == b"cdef"
    spool.close()


async def test_what_follows_a_small_piece_is_not_held_back_for_long():
    spool = Spool(10**6)
    reader = spool.reader(gather_seconds=0.02)
    for written in (b"ab", b"cd"):
        await spool.write(written)
        assert await anext(reader) == written
    spool.close()


async def test_pieces_are_whole_samples_and_bounded():
    spool = Spool(0)
    await spool.write(bytes(PIECE_BYTES + 2))
    spool.finish()
    assert [len(piece) async for piece in spool.reader()] == [PIECE_BYTES, 2]
    spool.close()


@pytest.mark.parametrize("memory_bytes", [0, 10**6])
async def test_failure_wakes_readers(memory_bytes):
    spool = Spool(memory_bytes)
    await spool.write(b"abcd")
    reader = spool.reader()
    await anext(reader)
    waiting = asyncio.create_task(anext(reader))
    await asyncio.sleep(0.01)
    spool.fail(Abandoned("gone"))
    with pytest.raises(Abandoned, match="gone"):
        await waiting
    with pytest.raises(Abandoned, match="gone"):
        await everything(spool)
    with pytest.raises(Abandoned, match="gone"):
        await spool.write(b"more")
    spool.close()


async def test_first_failure_counts():
    spool = Spool(10)
    spool.fail(Abandoned("first"))
    spool.fail(Abandoned("second"))
    with pytest.raises(Abandoned, match="first"):
        await everything(spool)


async def test_nothing_after_the_end():
    spool = Spool(10)
    spool.finish()
    with pytest.raises(ValueError, match="after finish"):
        await spool.write(b"ab")


@pytest.mark.parametrize("memory_bytes", [0, 10**6])
async def test_close_ends_readers_and_may_be_repeated(memory_bytes):
    spool = Spool(memory_bytes)
    await spool.write(b"abcd")
    reader = spool.reader()
    await anext(reader)
    waiting = asyncio.create_task(anext(reader))
    await asyncio.sleep(0)
    spool.close()
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        await waiting


async def test_closing_while_disk_work_runs_leaves_no_descriptor(tmp_path):
    before = open_descriptors()
    for _ in range(20):
        spool = Spool(0, tmp_path)
        await spool.write(b"ab")
        writing = asyncio.create_task(spool.write(bytes(2**20)))
        reading = asyncio.create_task(anext(spool.reader()))
        await asyncio.sleep(0)
        writing.cancel()
        spool.close()
        await asyncio.gather(writing, reading, return_exceptions=True)
    await asyncio.sleep(0.05)
    assert open_descriptors() == before


async def test_file_has_no_name(tmp_path):
    spool = Spool(10, tmp_path)
    await spool.write(bytes(1000))
    assert list(tmp_path.iterdir()) == []
    assert any(str(tmp_path) in place for place in open_descriptors().values())
    spool.close()
    assert not any(str(tmp_path) in place for place in open_descriptors().values())


async def test_short_recordings_need_no_file(tmp_path):
    spool = Spool(1000, tmp_path / "missing")
    await spool.write(bytes(1000))
    spool.finish()
    assert await everything(spool) == bytes(1000)


async def test_memory_is_bounded_whatever_the_length(tmp_path):
    spool = Spool(2**20, tmp_path)
    second = bytes(32_000)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(600):
            await spool.write(second)
        length = 0
        async for piece in spool.reader():
            length += len(piece)
            if length == 600 * len(second):
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    spool.close()
    # The bound, what is on its way to the file, a piece for the reader, and the event loop's odds and ends.
    assert peak < 2**20 + 2**19 + 2 * PIECE_BYTES + 200_000


async def test_full_disk_is_the_operators(tmp_path):
    spool = Spool(1000, tmp_path)
    await spool.write(bytes(1000))
    waiting = asyncio.create_task(everything(spool))
    with files_no_larger_than(5000):
        await spool.write(bytes(3000))
        with pytest.raises(Unavailable, match=r"the gateway's disk .* is full; its operator must"):
            await spool.write(bytes(3000))
    with pytest.raises(Unavailable, match=r"disk .* is full"):
        await waiting
    spool.close()


async def test_missing_directory_is_the_operators(tmp_path):
    spool = Spool(10, tmp_path / "missing")
    with pytest.raises(Unavailable, match="operator") as caught:
        await spool.write(bytes(1000))
    assert str(tmp_path) not in caught.value.message


def test_killed_process_leaves_nothing(tmp_path):
    script = (
        "import asyncio, os, pathlib, signal, sys\n"
        "from gateway.spool import Spool\n"
        "spool = Spool(10, pathlib.Path(sys.argv[1]))\n"
        "asyncio.run(spool.write(bytes(100_000)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert ended.returncode == -9
    assert list(tmp_path.iterdir()) == []


def open_descriptors():
    """Number and place of each, but for the listing's own."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found[link.name] = str(link.readlink())
    return found
