"""The command line as a process, against a real server with a fake gateway in it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from gateway.cli import main
from speech.audio.v1 import audio_pb2
from support.gateway.fake_gateway import TEXT, FakeGateway, fake_gateway

ROOT = Path(__file__).resolve().parents[2]
RECORDED = b"RIFF" * 100_000
CLI = (sys.executable, "-m", "gateway.cli")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Shell:
    """Runs the command line against one gateway."""

    gateway: FakeGateway
    address: str

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        environment = {**os.environ, "DUOSCRIBE_SERVER": self.address}
        return await asyncio.create_subprocess_exec(
            *CLI, *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=environment
        )

    async def run(self, *arguments: str, stdin: bytes = b"") -> Ended:
        process = await self.start(*arguments)
        out, err = await asyncio.wait_for(process.communicate(stdin), 30)
        return Ended(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def shell() -> AsyncIterator[Shell]:
    async with fake_gateway() as (gateway, address):
        yield Shell(gateway, address)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "my call.wav"
    path.write_bytes(RECORDED)
    return path


async def test_piped_output_is_the_transcript_and_nothing_else(shell: Shell, recording: Path) -> None:
    assert await shell.run("transcribe", str(recording)) == Ended(0, TEXT, "")
    (call,) = shell.gateway.calls
    assert bytes(call.audio) == RECORDED
    assert call.chunks > 1
    assert call.config.audio_format.container.name == "my call.wav"
    assert call.config.results.final_only


async def test_json_fits_its_schema(shell: Shell, recording: Path) -> None:
    ended = await shell.run("transcribe", "--format", "json", str(recording))
    document = json.loads(ended.out)
    jsonschema.validate(document, json.loads((ROOT / "docs" / "transcript.schema.json").read_text()))
    assert [segment["speaker"] for segment in document["segments"]] == ["SPEAKER_00", "SPEAKER_01"]


@pytest.mark.parametrize(
    ("option", "exact", "minimum", "maximum"),
    [("2", 2, 0, 0), ("2-4", 0, 2, 4), ("3-", 0, 3, 0), ("-5", 0, 0, 5)],
)
async def test_speakers_reach_the_gateway(
    shell: Shell, recording: Path, option: str, exact: int, minimum: int, maximum: int
) -> None:
    assert (await shell.run("transcribe", f"--speakers={option}", str(recording))).code == 0
    hints = shell.gateway.calls[0].config.speakers
    assert (hints.exact, hints.minimum, hints.maximum) == (exact, minimum, maximum)


async def test_other_options_reach_the_gateway(shell: Shell, recording: Path) -> None:
    options = ("--raw", "f32le:48000:2", "--language", "en", "--accept-partial", "--speaker-embeddings")
    options += ("--format", "json")
    assert (await shell.run("transcribe", *options, str(recording))).code == 0
    config = shell.gateway.calls[0].config
    assert config.audio_format.pcm == audio_pb2.PcmFormat(
        encoding=audio_pb2.PCM_ENCODING_F32LE, sample_rate_hz=48_000, channels=2
    )
    assert config.language == "en"
    assert config.results.accept_partial
    assert config.results.speaker_embeddings


@pytest.mark.parametrize(
    "arguments",
    [
        ("transcribe",),
        ("transcribe", "--speakers", "0", "x.wav"),
        ("transcribe", "--speakers", "4-2", "x.wav"),
        ("transcribe", "--speakers", "two", "x.wav"),
        ("transcribe", "--raw", "mp3", "x.wav"),
        ("transcribe", "--raw", "s16le:0", "x.wav"),
        ("transcribe", "--format", "srt", "x.wav", "y.wav"),
        ("transcribe", "-", "-"),
        ("transcribe", "--speaker-embeddings", "x.wav"),
        ("transcribe", "-o", "x.wav", "x.wav"),
        ("transcribe", "-o", "out", "a/x.wav", "b/x.wav"),
        ("unknown",),
    ],
)
def test_wrong_usage_ends_with_two(arguments: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert "Usage:" in ended.stderr


async def test_standard_input_is_sent_as_it_comes_and_lines_come_as_they_are_final(shell: Shell) -> None:
    process = await shell.start("transcribe", "--final-only", "-")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"RIFF")
    first = await asyncio.wait_for(process.stdout.readline(), 20)
    assert first.decode() == TEXT.splitlines(keepends=True)[0]
    assert bytes(shell.gateway.calls[0].audio) == b"RIFF"
    rest, err = await asyncio.wait_for(process.communicate(b"more"), 20)
    assert (rest.decode(), err) == (TEXT.splitlines(keepends=True)[1], b"")
    assert bytes(shell.gateway.calls[0].audio) == b"RIFFmore"


async def test_a_bad_file_does_not_lose_the_others(shell: Shell, recording: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"bad bytes")
    ended = await shell.run("transcribe", str(tmp_path / "missing.wav"), str(bad), str(recording))
    assert ended.code == 1
    assert ended.out.endswith(f"==> my call.wav <==\n{TEXT}")
    missing, undecodable = ended.err.splitlines()
    assert missing == f"duoscribe: {tmp_path}/missing.wav: No such file or directory"
    assert undecodable == (
        "duoscribe: bad.wav: the bytes are not a recording (audio). Change the recording or the options."
    )


async def test_it_ends_quietly_once_nobody_reads_its_output(shell: Shell, recording: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *(*CLI, "transcribe", "--server", shell.address, str(recording), str(recording)),
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writer)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (1, b"")
    assert len(shell.gateway.calls) < 2


async def test_a_busy_gateway_says_when_to_come_back(shell: Shell) -> None:
    ended = await shell.run("transcribe", "-", stdin=b"busy")
    assert ended.code == 1
    assert ended.err == "duoscribe: stdin: every place is taken. Try again in 7 s.\n"


async def test_an_address_that_is_none_is_the_users_to_check(shell: Shell, recording: Path) -> None:
    ended = await shell.run("transcribe", "--server", "no such host", str(recording))
    assert ended.code == 1
    assert "no gateway can be reached" in ended.err
    assert "Check the address" in ended.err


async def test_an_address_where_nothing_listens_is_named(shell: Shell, recording: Path) -> None:
    ended = await shell.run("transcribe", "--server", "unix:/nowhere/at-all.sock", str(recording))
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert "unix:/nowhere/at-all.sock" in ended.err


async def test_a_gateways_engine_cannot_be_chosen(shell: Shell, recording: Path) -> None:
    ended = await shell.run("transcribe", "--asr-engine", "ort", str(recording))
    assert ended.code == 2
    assert f"the gateway at {shell.address} has chosen its engine" in " ".join(ended.err.split())


async def test_a_lost_stage_is_told(shell: Shell) -> None:
    ended = await shell.run("transcribe", "--accept-partial", "-", stdin=b"half")
    assert (ended.code, ended.out) == (0, TEXT)
    assert (
        ended.err == "duoscribe: stdin: incomplete: diarization failed: the diarization replicas are gone\n"
    )


async def test_output_file_decides_the_format(shell: Shell, recording: Path, tmp_path: Path) -> None:
    target = tmp_path / "call.srt"
    assert await shell.run("transcribe", "-o", str(target), str(recording)) == Ended(0, "", "")
    assert target.read_text().startswith("1\n00:00:00,500 --> 00:00:01,400\nSPEAKER_00: Hello there.\n")


async def test_a_name_that_is_no_text_is_sent_as_well_as_it_can_be(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    path.write_bytes(RECORDED)
    assert await shell.run("transcribe", str(path)) == Ended(0, TEXT, "")
    assert shell.gateway.calls[0].config.audio_format.container.name == "caf\N{REPLACEMENT CHARACTER}.wav"


async def test_a_failure_leaves_the_output_file_as_it_was(shell: Shell, tmp_path: Path) -> None:
    target = tmp_path / "transcript.txt"
    target.write_text("precious")
    assert (await shell.run("transcribe", "-o", str(target), "-", stdin=b"bad")).code == 1
    assert target.read_text() == "precious"
    assert os.listdir(tmp_path) == ["transcript.txt"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("notes.txt/call.srt", "notes.txt"),
        ("folder.{name}", "is a folder"),
        pytest.param(
            "locked/call.srt",
            "you may not write to",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="every folder is open to root"),
        ),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    recording: Path, tmp_path: Path, output: str, told: str
) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    (tmp_path / "locked").mkdir(mode=0o500)
    (tmp_path / "folder.my call").mkdir()
    ended = CliRunner().invoke(main, ["transcribe", "-o", str(tmp_path / output), str(recording)])
    assert ended.exit_code == 2
    assert told in ended.stderr


@pytest.mark.parametrize("output", ["out", "out/{name}.json"])
async def test_several_recordings_go_to_a_folder(
    shell: Shell, recording: Path, tmp_path: Path, output: str
) -> None:
    other = recording.with_name("other.mp3")
    other.write_bytes(b"ID3")
    arguments = ("--format", "json", "-o", str(tmp_path / output), str(recording), str(other))
    assert await shell.run("transcribe", *arguments) == Ended(0, "", "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["my call.json", "other.json"]


async def test_several_json_documents_are_a_line_each(shell: Shell, recording: Path) -> None:
    ended = await shell.run("transcribe", "--format", "json", str(recording), str(recording))
    assert [json.loads(line)["duration"] for line in ended.out.splitlines()] == [3.0, 3.0]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What is started in the background of a script ignores SIGINT, and lets its children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_ends_it_at_once(shell: Shell, number: signal.Signals, code: int) -> None:
    process = await shell.start("transcribe", "--final-only", "-")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"RIFF")
    await asyncio.wait_for(process.stdout.readline(), 20)
    process.send_signal(number)
    # Its standard input stays open: nothing but the signal can end it.
    assert await asyncio.wait_for(process.wait(), 5) == code
    _, err = await process.communicate(b"")
    assert b"Traceback" not in err


async def test_describe_says_what_is_reached_and_what_is_not(shell: Shell) -> None:
    ended = await shell.run("describe")
    assert ended.code == 0
    assert ended.out.splitlines()[0] == f"gateway {shell.address}"
    assert "  recognition: whisper-tiny.en d3dd57d32acc (MIT)" in ended.out
    assert "diarization: cannot be reached" in ended.out
    assert json.loads((await shell.run("describe", "--json")).out)["asr"]["family"] == "whisper"


@pytest.mark.parametrize(
    "arguments", [(), ("transcribe",), ("serve",), ("serve", "all"), ("describe",), ("models",)]
)
def test_every_manual_answers_at_once_and_without_grpc(arguments: tuple[str, ...]) -> None:
    asks = f"import runpy, sys; sys.argv = ['duoscribe', *{arguments!r}, '--help']\n"
    runs = "try: runpy.run_module('gateway.cli', run_name='__main__')\n"
    tells = "finally: print('grpc' in sys.modules, file=sys.stderr)"
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", asks + runs + tells], capture_output=True, text=True, check=True
    )
    assert time.monotonic() - started < 5  # many times what it takes, for a busy machine
    assert done.stdout.startswith("Usage: ")
    assert done.stderr.strip() == "False"


def test_version() -> None:
    done = subprocess.run([*CLI, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("duoscribe ")


@pytest.mark.parametrize(("name", "module"), [("gateway", "gateway"), ("asr", "asr_service")])
def test_serving_one_service_is_running_its_module(name: str, module: str, tmp_path: Path) -> None:
    for package in ("gateway", "asr_service"):
        (tmp_path / package).mkdir(exist_ok=True)
    done = subprocess.run(
        [*CLI, "serve", name, "--help"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert f"-m {module}" in done.stdout
    assert "--drain-seconds" in done.stdout
