"""Whether the services know what the manifests tell them: settings, commands, models, health, metrics, calls."""

import re
from importlib import import_module

import click
import pytest
from prometheus_client import CollectorRegistry

from asr_service.config import ENV_PREFIX as ASR_PREFIX
from asr_service.config import AsrConfig
from asr_service.metrics import AsrMetrics
from diarization_service.config import ENV_PREFIX as DIARIZATION_PREFIX
from diarization_service.config import Config as DiarizationConfig
from diarization_service.metrics import DiarizationMetrics
from gateway.cli import main
from gateway.config import ENV_PREFIX as GATEWAY_PREFIX
from gateway.config import GatewayConfig
from gateway.riva.servicer import RivaService
from serving.admission import AdmissionInterceptor
from serving.config import ServerConfig, command, from_environment
from serving.health import SERVICE_NAME
from serving.load_metrics import export_load
from serving.models.roles import EMBEDDING, RECOGNITION, SEGMENTATION, VOICE_ACTIVITY
from serving.models.store import ModelStore
from speech.asr.v1 import asr_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2
from support.manifests import (
    COMPONENTS,
    DOCUMENT,
    OVERLAYS,
    SERVICES,
    Manifest,
    arguments,
    containers,
    environment,
    of_kind,
    pods,
    rendered,
    service_container,
    walk,
)

CONFIGS: dict[str, tuple[type[ServerConfig], str]] = {
    "gateway": (GatewayConfig, GATEWAY_PREFIX),
    "asr": (AsrConfig, ASR_PREFIX),
    "diarization": (DiarizationConfig, DIARIZATION_PREFIX),
}
MODULES = {"gateway": "gateway", "asr": "asr_service", "diarization": "diarization_service"}
ROLES = {"asr": (RECOGNITION, VOICE_ACTIVITY), "diarization": (SEGMENTATION, EMBEDDING)}
CALLS = {
    "gateway": gateway_pb2.DESCRIPTOR.services_by_name["Transcription"].full_name,
    "asr": asr_pb2.DESCRIPTOR.services_by_name["SpeechRecognition"].full_name,
    "diarization": diarization_pb2.DESCRIPTOR.services_by_name["SpeakerDiarization"].full_name,
}

Manifests = tuple[Manifest, ...]


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return rendered(request.param)


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return request.param


def configuration(manifests: Manifests, service: str, monkeypatch: pytest.MonkeyPatch) -> ServerConfig:
    """What the service makes of its container's environment."""
    for name, value in environment(manifests, service_container(pods(manifests)[service])).items():
        monkeypatch.setenv(name, value)
    return from_environment(*CONFIGS[service])


def known_variables(service: str) -> set[str]:
    config_class, prefix = CONFIGS[service]
    options = command(config_class, lambda _: 0, name=service, help="", env_prefix=prefix).params
    return {str(option.envvar) for option in options}


def test_every_variable_is_one_that_the_service_reads(manifests: Manifests, service: str):
    pod = pods(manifests)[service]
    for container in containers(pod):
        others = {"HOME"} if service == "gateway" else {"HOME", "DUOSCRIBE_CACHE"}
        assert environment(manifests, container).keys() - known_variables(service) == others


def test_values_are_valid_and_addresses_those_of_the_ports(
    manifests: Manifests, service: str, monkeypatch: pytest.MonkeyPatch
):
    config = configuration(manifests, service, monkeypatch)
    ports = {
        port["name"]: port["containerPort"] for port in service_container(pods(manifests)[service])["ports"]
    }
    assert config.address == f"0.0.0.0:{ports['grpc']}"
    assert config.metrics_address == f"0.0.0.0:{ports['metrics']}"
    annotations = pods(manifests)[service]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["metrics"])


def test_the_gateway_calls_the_backends_by_the_names_of_their_services(
    manifests: Manifests, monkeypatch: pytest.MonkeyPatch
):
    config = configuration(manifests, "gateway", monkeypatch)
    assert isinstance(config, GatewayConfig)
    services = of_kind(manifests, "Service")
    for name, addresses in (("asr", config.asr), ("diarization", config.diarization)):
        (port,) = services[name]["spec"]["ports"]
        assert addresses == (f"{name}:{port['port']}",)


def test_connections_are_renewed_so_that_new_replicas_are_found(
    manifests: Manifests, service: str, monkeypatch: pytest.MonkeyPatch
):
    assert configuration(manifests, service, monkeypatch).max_connection_age_seconds > 0


def test_pods_run_the_services_programs(manifests: Manifests, service: str):
    python, flag, module, *rest = arguments(manifests, service_container(pods(manifests)[service]))
    assert (python, flag, module, rest) == ("python", "-m", MODULES[service], [])
    assert isinstance(import_module(f"{module}.__main__").main, click.Command)


def test_init_containers_run_commands_that_exist(manifests: Manifests):
    for pod in pods(manifests).values():
        for container in pod["spec"].get("initContainers", []):
            program, *words = arguments(manifests, container)
            assert program == "duoscribe"
            parse(main, words)


def test_init_containers_pull_what_the_service_loads(manifests: Manifests, monkeypatch: pytest.MonkeyPatch):
    names = {entry.name for entry in ModelStore().entries()}
    for service, roles in ROLES.items():
        pod = pods(manifests)[service]
        wanted = {role.chosen(environment(manifests, service_container(pod))) for role in roles}
        first = pod["spec"]["initContainers"][0]
        assert set(arguments(manifests, first)[3:]) == wanted <= names


def test_models_are_where_the_volume_is(manifests: Manifests, monkeypatch: pytest.MonkeyPatch):
    for service in ROLES:
        for container in containers(pods(manifests)[service]):
            (mount,) = (one for one in container["volumeMounts"] if one["name"] == "models")
            monkeypatch.setenv("DUOSCRIBE_CACHE", environment(manifests, container)["DUOSCRIBE_CACHE"])
            assert str(ModelStore().cache_dir) == mount["mountPath"]


def test_on_gpus_engines_are_built_from_the_pulled_model_before_the_service_needs_them(
    monkeypatch: pytest.MonkeyPatch,
):
    manifests = rendered("overlays/gpu")
    config = configuration(manifests, "asr", monkeypatch)
    assert isinstance(config, AsrConfig)
    assert (config.engine, config.provider) == ("ort", "tensorrt")
    pull, build = pods(manifests)["asr"]["spec"]["initContainers"]
    assert config.model in arguments(manifests, pull)
    assert arguments(manifests, build) == ["duoscribe", "engines", "build", config.model]
    for container in (build, service_container(pods(manifests)["asr"])):
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_probes_ask_for_the_health_of_the_service_itself_in_plain_text(
    manifests: Manifests, service: str, monkeypatch: pytest.MonkeyPatch
):
    config = configuration(manifests, service, monkeypatch)
    container = service_container(pods(manifests)[service])
    assert config.tls_certificate is None or config.health_address is not None
    host, _, digits = (config.health_address or config.address).rpartition(":")
    assert host == "0.0.0.0"
    port = int(digits)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["grpc"] == {"port": port, "service": CALLS[service]}


def test_a_service_that_only_loads_is_given_time_and_one_that_hangs_is_not(manifests: Manifests):
    for pod in pods(manifests).values():
        container = service_container(pod)
        assert _patience(container["startupProbe"]) >= 60
        assert _patience(container["readinessProbe"]) <= 15
        assert 30 <= _patience(container["livenessProbe"]) <= 120


def test_every_metric_that_is_named_exists(manifests: Manifests):
    named = {
        found
        for manifest in manifests
        for text in walk(manifest)
        for found in re.findall(r"\bduoscribe_\w+", text)
    }
    assert named <= metrics()


def test_services_are_scaled_by_how_much_of_what_they_take_is_taken():
    scaled = of_kind(rendered("overlays/hpa"), "HorizontalPodAutoscaler")
    for service in SERVICES:
        metric = scaled[service]["spec"]["metrics"][-1]
        assert metric["pods"]["metric"]["name"] == "duoscribe_load_ratio"
    scaled = of_kind(rendered("overlays/keda"), "ScaledObject")
    for service in SERVICES:
        query = scaled[service]["spec"]["triggers"][-1]["metadata"]["query"]
        assert query == f'sum(duoscribe_load_ratio{{namespace="duoscribe", pod=~"{service}-.+"}})'


def test_routes_lead_to_calls_that_exist():
    route = of_kind(rendered("overlays/gateway-api"), "GRPCRoute")["gateway"]
    (rule,) = route["spec"]["rules"]
    served = {CALLS["gateway"], RivaService.name, SERVICE_NAME}
    assert {match["method"]["service"] for match in rule["matches"]} == served
    (backend,) = rule["backendRefs"]
    services = of_kind(rendered("overlays/gateway-api"), "Service")
    assert [port["port"] for port in services[backend["name"]]["spec"]["ports"]] == [backend["port"]]


def test_istio_calls_each_service_by_its_name_and_neither_cuts_nor_repeats_a_recording():
    manifests = rendered("overlays/istio")
    routes, rules = of_kind(manifests, "VirtualService"), of_kind(manifests, "DestinationRule")
    assert routes.keys() == rules.keys() == set(SERVICES)
    for name in SERVICES:
        (http,) = routes[name]["spec"]["http"]
        (port,) = of_kind(manifests, "Service")[name]["spec"]["ports"]
        assert routes[name]["spec"]["hosts"] == [name] == [rules[name]["spec"]["host"]]
        assert (http["timeout"], http["retries"]) == ("0s", {"attempts": 0})
        assert http["route"] == [{"destination": {"host": name, "port": {"number": port["port"]}}}]
        assert rules[name]["spec"]["trafficPolicy"]["tls"] == {"mode": "ISTIO_MUTUAL"}


@pytest.mark.parametrize("overlay", ["overlays/istio", "overlays/linkerd"])
def test_in_a_mesh_backends_let_in_the_gateways_account_only(overlay: str):
    manifests = rendered(overlay)
    policies = of_kind(manifests, "AuthorizationPolicy")
    for service in ("asr", "diarization"):
        if overlay.endswith("istio"):
            (rule,) = policies[service]["spec"]["rules"]
            assert rule["from"] == [{"source": {"principals": ["*/ns/duoscribe/sa/gateway"]}}]
            continue
        (who,) = policies[service]["spec"]["requiredAuthenticationRefs"]
        allowed = of_kind(manifests, who["kind"])[who["name"]]["spec"]
        assert allowed == {"identityRefs": [{"kind": "ServiceAccount", "name": "gateway"}]}


def test_linkerd_lets_probes_ask_for_health_and_for_nothing_else():
    manifests = rendered("overlays/linkerd")
    routes = of_kind(manifests, "HTTPRoute")
    opened = {
        policy["spec"]["targetRef"]["name"]
        for policy in of_kind(manifests, "AuthorizationPolicy").values()
        if policy["spec"]["requiredAuthenticationRefs"][0]["kind"] == "NetworkAuthentication"
    }
    assert opened == {f"{service}-health" for service in SERVICES}
    for name in opened:
        (rule,) = routes[name]["spec"]["rules"]
        assert rule["matches"] == [{"path": {"type": "Exact", "value": f"/{SERVICE_NAME}/Check"}}]


def test_every_component_is_documented():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in COMPONENTS if f"`{name}`" not in text] == []


def parse(group: click.Command, words: list[str]) -> None:
    """Read a command line without running it. Raises click.UsageError where it is none."""
    if not isinstance(group, click.Group):
        group.make_context(None, words)
        return
    name, *rest = words
    found = group.get_command(click.Context(group), name)
    if found is None:
        raise click.UsageError(f"no such command: {name}")
    parse(found, rest)


def metrics() -> set[str]:
    registry = CollectorRegistry()
    AsrMetrics(registry)
    DiarizationMetrics(registry)
    export_load(AdmissionInterceptor(max_streams=1), registry)
    families = list(registry.collect())
    samples = {sample.name for family in families for sample in family.samples}
    return {family.name for family in families} | samples


def _patience(probe: Manifest) -> int:
    """Seconds until the kubelet acts."""
    return probe["periodSeconds"] * probe["failureThreshold"]
