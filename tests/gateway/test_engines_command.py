"""`duoscribe engines` becomes the recognition service's own command, of which the gateway imports nothing."""

import subprocess
import sys
from pathlib import Path

CLI = (sys.executable, "-m", "gateway.cli")


def run(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    # A folder of this name where it is called from must not be taken for the package.
    (folder / "asr_service").mkdir()
    return subprocess.run(
        [*CLI, "engines", *arguments], capture_output=True, text=True, check=False, cwd=folder
    )


def test_help_is_the_commands_own(tmp_path: Path) -> None:
    done = run("build", "--help", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: duoscribe engines build")
    assert "--profile" in done.stdout


def test_a_failure_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    done = run("build", "no-such-model", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: 'no-such-model' is neither a directory nor a model's name")
    assert len(done.stderr.splitlines()) == 1
