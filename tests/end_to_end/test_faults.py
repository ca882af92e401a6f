"""A short run of the fault benchmark: processes die, networks are cut and replicas replaced, at random moments."""

import subprocess
import sys


def test_nothing_is_silently_wrong_while_things_go_wrong() -> None:
    faults = [f"--fault={name}" for name in ("killed", "cut", "drained")]
    command = (sys.executable, "-m", "benchmarks.faults", "--recordings=12", "--together", *faults)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    columns, _, counts = done.stdout.splitlines()[:3]
    counted = dict(zip(columns.split(" | "), counts.split(" | "), strict=True))
    assert int(counted["sent"]) == 12
    assert int(counted["replicas struck"]) > 0
