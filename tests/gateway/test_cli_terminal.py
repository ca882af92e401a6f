"""What somebody at a terminal sees."""

import asyncio
import io
import os
import pty
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from rich.console import Console

from gateway.commands.display import View
from speech.gateway.v1 import gateway_pb2
from support.gateway.deployment import deployed
from support.gateway.fake_gateway import TEXT, WORDS, event, fake_gateway, segment, stage_status
from support.gateway.fakes import BYTES_PER_SECOND, diarization, early, recognition, turns_update


def picture(view: View, *, width: int = 80, lines: int = 10) -> str:
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(view.render(width=width, lines=lines))
    return console.export_text()


def progress(
    stage: gateway_pb2.Stage.ValueType, processed: int, total: int | None = None
) -> gateway_pb2.TranscribeResponse:
    known = Duration(seconds=total) if total is not None else None
    return event(
        progress=gateway_pb2.StageProgress(stage=stage, processed=Duration(seconds=processed), total=known)
    )


def bar_of(label: str, shown: str) -> str:
    return next(line for line in shown.splitlines() if line.startswith(label))


def test_each_stage_has_its_bar() -> None:
    view = View("call.wav", size=1_000)
    view.add_sent(500)
    view.transcript.apply(progress(gateway_pb2.STAGE_ASR, 65, 130))
    view.transcript.apply(
        event(stage_status=stage_status(gateway_pb2.STAGE_DIARIZATION, "no replica is left"))
    )
    shown = picture(view)
    assert shown.startswith("call.wav\n")
    assert bar_of("Upload", shown).count("━") == bar_of("Recognition", shown).count("━")
    assert bar_of("Recognition", shown).rstrip().endswith("1:05.0")
    assert bar_of("Diarization", shown).rstrip().endswith("failed: no replica is left")


def test_the_newest_segments_are_shown_as_far_as_they_fit() -> None:
    view = View("call.wav", size=None)
    for number in range(5):
        view.transcript.apply(
            event(segment=segment(f"s{number}", (f"word{number}", number, number + 0.5, "SPEAKER_00")))
        )
    shown = picture(view, lines=2)
    assert "word2" not in shown
    assert shown.splitlines()[-2:] == [
        "[0:03.0 - 0:03.5] SPEAKER_00: word3",
        "[0:04.0 - 0:04.5] SPEAKER_00: word4",
    ]


def test_a_terminal_without_room_shows_no_segments() -> None:
    view = View("call.wav", size=None)
    view.transcript.apply(event(segment=segment("s0", ("word", 0, 0.5, "SPEAKER_00"))))
    assert "word" not in picture(view, lines=0)


def test_long_segments_are_wrapped_and_their_end_is_kept() -> None:
    view = View("call.wav", size=None)
    words = [(f"word{number}", number, number + 0.5, "SPEAKER_00") for number in range(40)]
    view.transcript.apply(event(segment=segment("s0", *words)))
    shown = picture(view, width=60, lines=3).splitlines()
    assert len(shown) == 5 + 3
    assert max(map(len, shown)) <= 60
    assert shown[-1].endswith("word39")


def test_a_speaker_that_may_change_has_a_question_mark() -> None:
    view, early_on = View("call.wav", size=None), segment("s0", ("word", 0, 0.5, "SPEAKER_00"))
    early_on.speaker_final = False
    view.transcript.apply(event(segment=early_on))
    assert "SPEAKER_00?: word" in picture(view)
    view.transcript.apply(event(segment=segment("s0", ("word", 0, 0.5, "SPEAKER_01"))))
    assert "SPEAKER_01: word" in picture(view)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


async def read_until(descriptor: int, wanted: bytes) -> bytes:
    seen = b""
    async with asyncio.timeout(20):
        while wanted not in seen:
            seen += await asyncio.to_thread(os.read, descriptor, 4096)
    return seen


async def drained(descriptor: int) -> None:
    """Whoever draws on a terminal waits once nobody looks."""
    with suppress(OSError):  # that its other end is closed
        while await asyncio.to_thread(os.read, descriptor, 4096):
            pass


async def transcribing(terminal: int, *arguments: str) -> asyncio.subprocess.Process:
    """Draws on the terminal, which is the command's alone from here on; a recording goes in and its transcript out by pipes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "transcribe", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
    )
    os.close(terminal)
    return process


async def test_progress_is_drawn_on_the_terminal_and_the_transcript_goes_down_the_pipe(
    terminal: tuple[int, int],
) -> None:
    ours, theirs = terminal
    async with fake_gateway() as (_, address):
        process = await transcribing(theirs, "--server", address, "-")
        assert process.stdin is not None
        process.stdin.write(b"RIFF")
        # Provisional: nobody knows yet who says it.
        seen = await read_until(ours, f"[0:00.5 - 0:01.4] {WORDS[0][0]}".encode())
        assert b"Diarization" in seen
        out, _ = await asyncio.wait_for(process.communicate(b"more"), 20)
    assert (process.returncode, out.decode()) == (0, TEXT)


async def test_speakers_are_shown_and_corrected_while_the_recording_is_still_uploaded(
    terminal: tuple[int, int], tmp_path: Path
) -> None:
    ours, theirs = terminal
    diarizer = diarization((0.0, 2.0, "SPEAKER_00"), (2.0, 8.0, "SPEAKER_01"))
    diarizer.script[1:1] = [
        early(5.0, turns_update([(0, 2, "SPEAKER_00"), (2, 5, "SPEAKER_00")], horizon=5, final=0)),
        early(7.0, turns_update([(2, 7, "SPEAKER_01")], since=2, until=7, horizon=7, final=0)),
    ]
    asr = recognition((0.5, 1.5, "hello there"), (2.5, 3.5, "well hi"))
    async with deployed(tmp_path, asr, diarizer) as door:
        process = await transcribing(theirs, "--server", door.address, "--raw", "s16le:16000", "-")
        assert process.stdin is not None
        process.stdin.write(bytes(4 * BYTES_PER_SECOND))
        await read_until(ours, b"] well hi")
        process.stdin.write(bytes(2 * BYTES_PER_SECOND))
        await read_until(ours, b"SPEAKER_00?: well hi")
        process.stdin.write(bytes(2 * BYTES_PER_SECOND))
        await read_until(ours, b"SPEAKER_01?: well hi")
        async with asyncio.timeout(20):
            (out, _), _ = await asyncio.gather(process.communicate(b""), drained(ours))
    assert out.decode() == (
        "[0:00.5 - 0:01.5] SPEAKER_00: hello there\n[0:02.5 - 0:03.5] SPEAKER_01: well hi\n"
    )
