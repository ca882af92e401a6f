"""The manifests of deploy/kubernetes as `kubectl kustomize` renders them."""

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
DOCUMENT = ROOT / "docs" / "deployment.md"
COMPONENTS = sorted(folder.name for folder in (KUBERNETES / "components").iterdir())
OVERLAYS = ["base", *(f"overlays/{name}" for name in COMPONENTS)]

SERVICES = ("gateway", "asr", "diarization")

# The label that every selector goes by.
NAME = "app.kubernetes.io/name"

Manifest = dict[str, Any]

_UNITS = {"Mi": 2**20, "Gi": 2**30}


def render(folder: Path) -> list[Manifest]:
    """Raises AssertionError, with what kubectl says, where it does not render."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    """The base or one of the overlays; not to be changed."""
    return tuple(render(KUBERNETES / overlay))


def of_kind(manifests: tuple[Manifest, ...], kind: str) -> dict[str, Manifest]:
    """By name."""
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def pods(manifests: tuple[Manifest, ...]) -> dict[str, Manifest]:
    """What each Deployment's pods are, by its name: metadata and spec."""
    return {name: one["spec"]["template"] for name, one in of_kind(manifests, "Deployment").items()}


def containers(pod: Manifest) -> list[Manifest]:
    """Init containers first."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def service_container(pod: Manifest) -> Manifest:
    (container,) = pod["spec"]["containers"]
    return container


def environment(manifests: tuple[Manifest, ...], container: Manifest) -> dict[str, str]:
    """What the container's process finds, of what the manifests say."""
    maps = of_kind(manifests, "ConfigMap")
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found |= maps[source["configMapRef"]["name"]]["data"]
    return found | {variable["name"]: variable["value"] for variable in container["env"]}


def arguments(manifests: tuple[Manifest, ...], container: Manifest) -> list[str]:
    """Command and arguments with $(VARIABLE) replaced, as a kubelet does it."""
    variables = environment(manifests, container)
    words = [*container["command"], *container.get("args", [])]
    return [variables[word[2:-1]] if word.startswith("$(") else word for word in words]


def matched(pods_by_name: dict[str, Manifest], selector: Manifest) -> set[str]:
    """The Deployments whose pods a label selector selects."""
    return {name for name, pod in pods_by_name.items() if _selects(selector, pod["metadata"]["labels"])}


def _selects(selector: Manifest, labels: dict[str, str]) -> bool:
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def quantity(text: str) -> int:
    """Bytes of "2Gi"."""
    return int(text[:-2]) * _UNITS[text[-2:]]


def walk(value: Any) -> Iterator[str]:
    """Every string within a manifest, keys excepted."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from walk(part)
