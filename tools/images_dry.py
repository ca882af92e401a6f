"""Run the steps of deploy/Dockerfile that install Python packages, in a folder of this machine, and look at what came of them.

    python -m tools.images_dry gateway asr

Neither a container engine nor root is needed. Every RUN and COPY of an image's -env stage, and of those before it, is executed
with /opt/duoscribe moved into a temporary folder, and with this machine's Python and libraries in place of the base image's.
What the stage `base` does (user, folders), and the images themselves, are not tried.

Fails where an image would hold a package that deploy/constraints/ does not pin, where its entry point does not start, or where
the gateway's would hold torch or an engine.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from tools.dockerfile import DOCKERFILE, ROOT, Copy, Dockerfile, Stage, copy, pairs, read

PREFIX = "/opt/duoscribe"
CONSTRAINTS = ROOT / "deploy" / "constraints"
ON_CPU = ("gateway", "asr", "diarization", "models")
NEVER_IN_THE_GATEWAY = {"torch", "onnxruntime", "onnxruntime-gpu", "sherpa-onnx", "pyannote-audio"}
# Asked of the environment itself, which has no pip.
_LIST = (
    "import json; from importlib.metadata import distributions; "
    "print(json.dumps({d.metadata['Name']: d.version for d in distributions()}))"
)
_NOT_IN_THE_CONTEXT = shutil.ignore_patterns("__pycache__", "*_pb2*.py", "*_pb2*.pyi")


class ImageError(Exception):
    """An image would not be what it has to be."""


class DryRun:
    """Stages under `folder`, where each that is asked for gets a folder that stands for /opt/duoscribe."""

    def __init__(self, dockerfile: Dockerfile, folder: Path, arguments: Mapping[str, str]) -> None:
        self._dockerfile = dockerfile
        self._folder = folder
        self._arguments = arguments
        python = folder / "bin" / "python"
        python.parent.mkdir()
        python.symlink_to(Path(sys.base_prefix, "bin", "python3"))
        self._path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"

    def environment(self, target: str) -> Path:
        """The environment that the image `target` copies."""
        (stage,) = {copy.stage for copy in self._dockerfile.stages[target].copies if copy.stage}
        return self._done(stage) / "env"

    def _done(self, name: str) -> Path:
        """The stage's folder. Those it is built on run there too, once more for each: environments cannot be moved."""
        prefix = self._folder / name
        if not prefix.exists():
            prefix.mkdir()
            declared: dict[str, str] = {}
            for stage in self._dockerfile.chain(name):
                self._run(stage, prefix, declared)
        return prefix

    def _run(self, stage: Stage, prefix: Path, declared: dict[str, str]) -> None:
        """`declared` are build arguments by name; stages built on this one inherit what it declares."""
        directory = prefix
        environment = self._dockerfile.environment(stage.name)
        for instruction in stage.instructions:
            value = instruction.value.replace(PREFIX, str(prefix))
            match instruction.keyword:
                case "WORKDIR":
                    directory = Path(value)
                case "ARG":
                    declared |= {
                        name: self._arguments.get(name, default) for name, default in pairs(instruction.value)
                    }
                case "COPY":
                    self._copy(copy(instruction.value), prefix, directory)
                case "RUN":
                    self._shell(value, directory, moved(declared | environment, prefix))

    def _copy(self, copied: Copy, prefix: Path, directory: Path) -> None:
        target = directory / copied.target.replace(PREFIX, str(prefix))
        for source in copied.sources:
            origin = ROOT / source
            if copied.stage:
                origin = Path(source.replace(PREFIX, str(self._done(copied.stage))))
            if origin.is_dir():
                shutil.copytree(origin, target, ignore=_NOT_IN_THE_CONTEXT, dirs_exist_ok=True)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(origin, target)

    def _shell(self, command: str, directory: Path, variables: Mapping[str, str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        environment = os.environ | variables | {"PATH": self._path}
        # As Docker runs it.
        subprocess.run(["/bin/sh", "-c", command], cwd=directory, env=environment, check=True)


def moved(variables: Mapping[str, str], prefix: Path) -> dict[str, str]:
    return {name: value.replace(PREFIX, str(prefix)) for name, value in variables.items()}


def installed(environment: Path) -> dict[str, str]:
    """Version by name of what lies in the environment, this project left out."""
    listed = subprocess.run(
        [environment / "bin" / "python", "-I", "-c", _LIST], check=True, stdout=subprocess.PIPE
    )
    found: dict[str, str] = {
        canonicalize_name(name): version for name, version in json.loads(listed.stdout).items()
    }
    del found["duoscribe"]
    return found


def pins(files: Iterable[Path]) -> dict[str, str]:
    lines = (line for file in files for line in file.read_text().splitlines() if "==" in line)
    return {name: version for name, _, version in (line.partition("==") for line in lines)}


def check_packages(target: str, found: Mapping[str, str]) -> None:
    """Raises ImageError."""
    pinned = pins(CONSTRAINTS.glob("*.txt"))
    if loose := sorted(set(found) - set(pinned)):
        raise ImageError(f"{target}: {', '.join(loose)} in the environment, but not in {CONSTRAINTS.name}/")
    if target == "gateway" and (heavy := sorted(NEVER_IN_THE_GATEWAY & set(found))):
        raise ImageError(f"{target} must not hold {', '.join(heavy)}")


def check_entry_point(target: str, dockerfile: Dockerfile, environment: Path) -> None:
    """Raises ImageError where what the image runs cannot even tell its flags."""
    command = json.loads(dockerfile.last(target, "ENTRYPOINT") or "[]")
    done = subprocess.run(
        [environment / "bin" / command[0], *command[1:], "--help"],
        env=os.environ | {"PYTHONSAFEPATH": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ImageError(f"{target} does not start:\n{done.stderr[-4000:]}")


def check(target: str, dockerfile: Dockerfile, run: DryRun) -> None:
    environment = run.environment(target)
    found = installed(environment)
    check_packages(target, found)
    check_entry_point(target, dockerfile, environment)
    size = sum(path.lstat().st_size for path in environment.rglob("*"))
    print(f"{target}: {len(found)} packages, {size / 1e6:.0f} MB, starts", flush=True)


def main() -> int:
    dockerfile = read(DOCKERFILE.read_text())
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "targets", nargs="*", default=ON_CPU, metavar="TARGET", help="default: those for CPUs"
    )
    parser.add_argument(
        "--build-arg", action="append", default=[], metavar="NAME=VALUE", help="as for docker build"
    )
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.targets) - set(dockerfile.targets)):
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(dockerfile.targets)}")
    with tempfile.TemporaryDirectory() as folder:
        run = DryRun(
            dockerfile, Path(folder), dict(argument.split("=", 1) for argument in arguments.build_arg)
        )
        try:
            for target in arguments.targets:
                check(target, dockerfile, run)
        except (ImageError, subprocess.CalledProcessError) as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
