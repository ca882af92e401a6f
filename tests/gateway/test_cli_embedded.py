"""The command line without a server: real services, real models."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import wave
from importlib.metadata import distribution
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.models

CLI = (sys.executable, "-m", "gateway.cli")
# Loading torch on a busy machine.
PATIENCE_SECONDS = 300


@pytest.fixture(scope="module")
def clip() -> bytes:
    """Two people within ten seconds, as a WAV file."""
    source = distribution("pyannote.audio").locate_file("pyannote/audio/sample/sample.wav")
    with wave.open(str(source)) as recording:
        recording.setpos(6 * recording.getframerate())
        samples = recording.readframes(10 * recording.getframerate())
        cut = io.BytesIO()
        with wave.open(cut, "wb") as target:
            target.setparams(recording.getparams())
            target.writeframes(samples)
    return cut.getvalue()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Private folders go where the test can see them."""
    return {**os.environ, "TMPDIR": str(tmp_path)}


@pytest.mark.parametrize(
    ("options", "engine"), [((), "sherpa-onnx 2"), (("--asr-engine", "ort"), "onnxruntime 1")]
)
def test_services_run_for_one_command_and_leave_nothing(
    options: tuple[str, ...], engine: str, clip: bytes, environment: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [*CLI, "transcribe", "--format", "json", "--speakers", "2", *options, "-"],
        input=clip,
        capture_output=True,
        check=False,
        env=environment,
        timeout=PATIENCE_SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    document = json.loads(done.stdout)
    assert document["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    assert "didn't know you were there" in " ".join(segment["text"] for segment in document["segments"])
    assert set(document["models"]) == {"recognition", "voice-activity", "segmentation", "embedding"}
    assert document["models"]["recognition"]["engine"].startswith(engine)
    assert not list(tmp_path.glob("duoscribe-*"))


def test_nothing_is_left_when_it_is_killed(environment: dict[str, str], tmp_path: Path) -> None:
    command = subprocess.Popen(
        [*CLI, "transcribe", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    with command:
        children = wait_for_children(command.pid)
        command.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert len(gone) >= 3
    assert not alive
    assert not list(tmp_path.glob("duoscribe-*"))


def test_serve_all_names_its_address_and_ends_on_sigterm(environment: dict[str, str], tmp_path: Path) -> None:
    command = subprocess.Popen(
        [*CLI, "serve", "all", "--address", "127.0.0.1:0"], stdout=subprocess.PIPE, env=environment
    )
    with command:
        assert command.stdout is not None
        address = json.loads(command.stdout.readline())["address"]
        described = subprocess.run(
            [*CLI, "describe", "--server", address], capture_output=True, text=True, check=True
        ).stdout
        children = psutil.Process(command.pid).children(recursive=True)
        command.terminate()
        assert command.wait(30) == 0
    assert "cannot be reached" not in described
    assert "whisper-tiny.en" in described
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert not list(tmp_path.glob("duoscribe-*"))


def test_serving_all_ends_when_one_cannot_start() -> None:
    done = subprocess.run(
        [*CLI, "serve", "all", "--address", "256.0.0.1:1"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "duoscribe: the gateway service ended with exit code 1"
    assert done.stderr.count("cannot listen on 256.0.0.1:1") == 1


def wait_for_children(pid: int) -> list[psutil.Process]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        children = psutil.Process(pid).children(recursive=True)
        if len(children) >= 3:
            time.sleep(2)  # some of them start workers of their own
            return psutil.Process(pid).children(recursive=True)
        time.sleep(0.05)
    raise AssertionError("the services were not started")
