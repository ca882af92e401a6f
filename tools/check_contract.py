"""Lint the contract with buf, and with --against REVISION refuse changes that break its callers."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.generate_stubs import descriptor_set

ROOT = Path(__file__).resolve().parent.parent
BUF = Path(sys.executable).parent / "buf"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--against", metavar="REVISION", help="git revision whose contract must still be served"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "contract.binpb")
        descriptor_set(image)
        failed = buf("lint", image)
        if arguments.against:
            failed |= buf("breaking", image, "--against", str(earlier_image(arguments.against, Path(folder))))
    return failed


def buf(command: str, image: Path, *flags: str) -> int:
    return subprocess.run(
        [BUF, command, image, "--config", ROOT / "buf.yaml", *flags], check=False
    ).returncode


def earlier_image(revision: str, folder: Path) -> Path:
    """Compile the contract as it stood at `revision`, with today's compiler."""
    tree = folder / "earlier"
    tree.mkdir()
    archive = subprocess.run(
        ["git", "-C", ROOT, "archive", revision, "protos"],  # noqa: S607
        check=True,
        stdout=subprocess.PIPE,
    )
    subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)  # noqa: S607
    image = folder / "earlier.binpb"
    descriptor_set(image, protos=tree / "protos")
    return image


if __name__ == "__main__":
    sys.exit(main())
