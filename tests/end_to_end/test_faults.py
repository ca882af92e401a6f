"""A short run of the fault benchmark: everything that may go wrong, at random moments."""

import subprocess
import sys


def test_nothing_is_silently_wrong_while_everything_goes_wrong() -> None:
    command = (sys.executable, "-m", "benchmarks.faults", "--recordings=12", "--fault=any", "--seed=4")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    columns, _, counts = done.stdout.splitlines()[:3]
    counted = dict(zip(columns.split(" | "), counts.split(" | "), strict=True))
    assert int(counted["sent"]) == 12
    assert int(counted["replicas struck"]) > 0
