"""What kubectl makes of the manifests, and what an API server's schemas say of it."""

import json
import os
import re
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest

from support.manifests import (
    COMPONENTS,
    DOCUMENT,
    KUBERNETES,
    OVERLAYS,
    Manifest,
    containers,
    environment,
    of_kind,
    pods,
    render,
    rendered,
    service_container,
)

# preStop's sleep is on by default since 1.30.
VERSIONS = ("1.30", kubernetes_validate.latest_version())

# Kinds that a cluster learns from cert-manager, Istio, Linkerd, the Gateway API and KEDA; their schemas are not at hand here.
FOREIGN = {
    "cert-manager.io/v1",
    "gateway.networking.k8s.io/v1",
    "keda.sh/v1alpha1",
    "networking.istio.io/v1",
    "policy.linkerd.io/v1alpha1",
    "policy.linkerd.io/v1beta3",
    "security.istio.io/v1",
}


def validate(manifest: Manifest, version: str) -> None:
    _validate_once(json.dumps(manifest), version)


@cache
def _validate_once(text: str, version: str) -> None:
    """Overlays have most of their manifests in common."""
    kubernetes_validate.validate(json.loads(text), version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_built_into_kubernetes_fits_its_schemas(overlay: str, version: str):
    own = [manifest for manifest in rendered(overlay) if manifest["apiVersion"] not in FOREIGN]
    assert own
    for manifest in own:
        validate(manifest, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_field_that_does_not_exist_would_be_found(version: str):
    misspelt = of_kind(rendered("base"), "Deployment")["asr"]
    misspelt = {**misspelt, "spec": {**misspelt["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        validate(misspelt, version)


def test_every_component_has_an_overlay():
    assert sorted(folder.name for folder in (KUBERNETES / "overlays").iterdir()) == COMPONENTS


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_is_there_twice_and_all_is_in_one_namespace(overlay: str):
    found = [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in rendered(overlay)]
    assert len(found) == len(set(found))
    namespaces = {one["metadata"].get("namespace") for one in rendered(overlay) if one["kind"] != "Namespace"}
    assert namespaces == {"duoscribe"}


@pytest.mark.parametrize("mesh", ["istio", "linkerd"])
@pytest.mark.parametrize("scaler", ["hpa", "keda"])
def test_components_combine(mesh: str, scaler: str, tmp_path: Path):
    combined = (mesh, "gateway-api", "gpu", scaler)
    base = os.path.relpath(KUBERNETES, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(
        f"namespace: duoscribe\nresources: [{base}/base]\n"
        f"components: [{', '.join(f'{base}/components/{name}' for name in combined)}]\n"
    )

    found = {_identity(manifest) for manifest in render(tmp_path)}

    for name in combined:
        assert {_identity(manifest) for manifest in rendered(f"overlays/{name}")} - found <= _changed_maps(
            name
        )


def test_the_example_of_the_manual_renders_with_its_own_images(tmp_path: Path):
    examples = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = (example for example in examples if "kind: Kustomization" in example)
    base = os.path.relpath(KUBERNETES, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(example.replace("deploy/kubernetes", base))

    manifests = tuple(render(tmp_path))

    images = {container["image"] for pod in pods(manifests).values() for container in containers(pod)}
    assert all(image.startswith("registry.internal/") for image in images)
    gateway = pods(manifests)["gateway"]
    settings = environment(manifests, service_container(gateway))
    assert settings["DUOSCRIBE_GATEWAY_MAX_STREAMS"] == "32"


def _identity(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _changed_maps(overlay: str) -> set[tuple[str, str]]:
    """The settings of backends have other names, after their contents, where the component gpu adds to them."""
    return {
        _identity(one)
        for one in rendered(f"overlays/{overlay}")
        if one["kind"] == "ConfigMap" and not one["metadata"]["name"].startswith("gateway-")
    }
