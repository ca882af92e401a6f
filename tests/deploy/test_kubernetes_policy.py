"""What a platform team asks of every pod, and whether what is named in one manifest is there in another."""

import re
import tomllib

import pytest

from serving.server import _CLOSE_SECONDS, _STOP_GRACE_SECONDS
from support.manifests import (
    NAME,
    OVERLAYS,
    ROOT,
    SERVICES,
    Manifest,
    containers,
    environment,
    matched,
    of_kind,
    pods,
    quantity,
    rendered,
    service_container,
)

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))

BYTES_PER_SECOND = 32_000

Manifests = tuple[Manifest, ...]


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return rendered(request.param)


def test_each_service_is_deployed(manifests: Manifests):
    assert set(pods(manifests)) == set(SERVICES)


def test_pods_run_without_privileges_and_without_credentials(manifests: Manifests):
    for pod in pods(manifests).values():
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod["spec"].keys()


def test_containers_can_change_nothing_but_their_volumes(manifests: Manifests):
    for pod in pods(manifests).values():
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_services_read_models_and_init_containers_write_them(manifests: Manifests):
    for name, pod in pods(manifests).items():
        for container in containers(pod):
            mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
            assert mounts.keys() <= {volume["name"] for volume in pod["spec"]["volumes"]}
            serves = container["name"] == name
            assert mounts.get("models", {}).get("readOnly", False) == (serves and name != "gateway")


def test_every_container_asks_for_what_it_needs_and_is_bounded(manifests: Manifests):
    for pod in pods(manifests).values():
        for container in containers(pod):
            limits, requests = container["resources"]["limits"], container["resources"]["requests"]
            assert {"cpu", "memory", "ephemeral-storage"} <= requests.keys() <= limits.keys()
            assert int(requests["cpu"]) <= int(limits["cpu"])
            for resource in ("memory", "ephemeral-storage"):
                assert quantity(requests[resource]) <= quantity(limits[resource])


def test_temporary_volumes_are_bounded_within_what_the_pod_may_use(manifests: Manifests):
    for pod in pods(manifests).values():
        volumes = [volume["emptyDir"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume]
        assert volumes
        limit = service_container(pod)["resources"]["limits"]["ephemeral-storage"]
        assert sum(quantity(volume["sizeLimit"]) for volume in volumes) <= quantity(limit)


def test_the_spool_holds_as_much_audio_as_the_gateway_takes(manifests: Manifests):
    pod = pods(manifests)["gateway"]
    settings = environment(manifests, service_container(pod))
    (mount,) = (one for one in service_container(pod)["volumeMounts"] if one["name"] == "spool")
    (spool,) = (one["emptyDir"] for one in pod["spec"]["volumes"] if one["name"] == "spool")

    streams = int(settings["DUOSCRIBE_GATEWAY_MAX_STREAMS"])
    seconds = float(settings["DUOSCRIBE_GATEWAY_MAX_AUDIO_SECONDS"])
    assert mount["mountPath"] == settings["DUOSCRIBE_GATEWAY_SPOOL_DIRECTORY"]
    assert quantity(spool["sizeLimit"]) >= streams * seconds * BYTES_PER_SECOND


def test_images_are_placeholders_for_the_dockerfiles_of_this_version(manifests: Manifests):
    for pod in pods(manifests).values():
        for container in containers(pod):
            repository, _, tag = container["image"].rpartition(":")
            registry, _, target = repository.rpartition("/")
            assert registry == "registry.example/duoscribe"
            assert target in TARGETS
            assert tag == VERSION


def test_a_pod_may_take_as_long_to_end_as_its_drain(manifests: Manifests):
    for name, pod in pods(manifests).items():
        container = service_container(pod)
        drain = float(environment(manifests, container)[f"DUOSCRIBE_{name.upper()}_DRAIN_SECONDS"])
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        ends = before + drain + _STOP_GRACE_SECONDS + _CLOSE_SECONDS
        assert pod["spec"]["terminationGracePeriodSeconds"] > ends


def test_what_pods_refer_to_is_there(manifests: Manifests):
    for pod in pods(manifests).values():
        assert pod["spec"]["serviceAccountName"] in of_kind(manifests, "ServiceAccount")
        for container in containers(pod):
            assert environment(manifests, container)
        for volume in pod["spec"]["volumes"]:
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert of_kind(manifests, "PersistentVolumeClaim")[claim]


def test_no_claim_is_made_that_nobody_uses(manifests: Manifests):
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods(manifests).values()
        for volume in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert of_kind(manifests, "PersistentVolumeClaim").keys() == claims


def test_selectors_find_the_pods_they_are_for(manifests: Manifests):
    found = pods(manifests)
    for name, deployment in of_kind(manifests, "Deployment").items():
        assert matched(found, deployment["spec"]["selector"]) == {name}
        (spread,) = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert matched(found, spread["labelSelector"]) == {name}
    for name, budget in of_kind(manifests, "PodDisruptionBudget").items():
        assert matched(found, budget["spec"]["selector"]) == {name}
    for name, policy in of_kind(manifests, "NetworkPolicy").items():
        assert matched(found, policy["spec"]["podSelector"]), name
    for name, server in of_kind(manifests, "Server").items():
        assert matched(found, server["spec"]["podSelector"]) == {name}
        assert server["spec"]["port"] in _ports(found[name])
    for name, policy in of_kind(manifests, "AuthorizationPolicy").items():
        if "selector" in policy["spec"]:
            assert matched(found, policy["spec"]["selector"]) == {name}


def test_each_service_has_a_headless_name_and_a_disruption_budget(manifests: Manifests):
    services = of_kind(manifests, "Service")
    for name in SERVICES:
        assert services[name]["spec"]["clusterIP"] == "None"
    assert set(of_kind(manifests, "PodDisruptionBudget")) == set(SERVICES)


def test_services_lead_to_named_ports(manifests: Manifests):
    found = pods(manifests)
    for service in of_kind(manifests, "Service").values():
        (name,) = matched(found, {"matchLabels": service["spec"]["selector"]})
        (port,) = service["spec"]["ports"]
        numbers = _ports(found[name])
        assert numbers[port["targetPort"]] == port["port"]
        assert {"grpc", "metrics"} <= numbers.keys() <= {"grpc", "metrics", "health"}


def test_updates_and_evictions_leave_a_replica(manifests: Manifests):
    for name, deployment in of_kind(manifests, "Deployment").items():
        budget = of_kind(manifests, "PodDisruptionBudget")[name]["spec"]["maxUnavailable"]
        update = deployment["spec"]["strategy"]["rollingUpdate"]
        assert max(budget, update["maxUnavailable"]) < _least_replicas(manifests, deployment)
        assert update["maxUnavailable"] + update["maxSurge"] > 0


def test_network_policies_close_everything_first(manifests: Manifests):
    nothing = of_kind(manifests, "NetworkPolicy")["nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_only_the_gateway_may_call_the_backends(manifests: Manifests):
    found = pods(manifests)
    for policy in of_kind(manifests, "NetworkPolicy").values():
        if not matched(found, policy["spec"]["podSelector"]) & {"asr", "diarization"}:
            continue
        for rule in policy["spec"].get("ingress", []):
            if rule["ports"] == [{"port": "metrics"}]:
                continue
            (peer,) = rule["from"]
            assert peer == {"podSelector": {"matchLabels": {NAME: "gateway"}}}


def test_the_gateway_may_call_what_the_backends_serve(manifests: Manifests):
    egress = of_kind(manifests, "NetworkPolicy")["gateway"]["spec"]["egress"]
    for rule in egress:
        ((name,), (port,)) = (
            matched(pods(manifests), rule["to"][0]["podSelector"]),
            rule["ports"],
        )
        assert _ports(pods(manifests)[name])["grpc"] == port["port"]


def test_autoscaled_deployments_leave_their_size_to_the_autoscaler(manifests: Manifests):
    deployments = of_kind(manifests, "Deployment")
    scaled = {scaler["spec"]["scaleTargetRef"]["name"] for scaler in _scalers(manifests)}
    assert scaled in (set(), set(SERVICES))
    assert {name for name in deployments if "replicas" not in deployments[name]["spec"]} == scaled


def _ports(pod: Manifest) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in service_container(pod)["ports"]}


def _scalers(manifests: Manifests) -> list[Manifest]:
    return [
        *of_kind(manifests, "HorizontalPodAutoscaler").values(),
        *of_kind(manifests, "ScaledObject").values(),
    ]


def _least_replicas(manifests: Manifests, deployment: Manifest) -> int:
    for scaler in _scalers(manifests):
        if scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]:
            return scaler["spec"].get("minReplicas") or scaler["spec"]["minReplicaCount"]
    return deployment["spec"]["replicas"]
