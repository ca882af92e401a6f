"""The way of traces through deploy/: from the services to a collector, and on to where they are looked at."""

from urllib.parse import urlsplit

import pytest
import yaml

from support.manifests import DOCUMENT, SERVICES, environment, of_kind, pods, rendered, service_container
from tools.dockerfile import DOCKERFILE

FOLDER = DOCKERFILE.parent
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]
# Compose services that run OpenTelemetry's collector, or what is built on it.
CONFIGURED = {
    name: yaml.safe_load((FOLDER / "otel" / f"{name}.yaml").read_text(encoding="utf-8"))
    for name in ("collector", "jaeger")
}
each_configured = pytest.mark.parametrize("name", CONFIGURED)


def otlp_port(name):
    return urlsplit(f"//{CONFIGURED[name]['receivers']['otlp']['protocols']['grpc']['endpoint']}").port


@each_configured
def test_pipelines_use_what_is_configured_and_nothing_is_configured_in_vain(name):
    config = CONFIGURED[name]
    (pipeline,) = config["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline.get(kind, ())) == set(config.get(kind, {}))
    assert set(config["service"].get("extensions", ())) == set(config.get("extensions", {}))


@each_configured
def test_containers_read_their_own_configuration(name):
    (flag,) = COMPOSE[name]["command"]
    (mount,) = COMPOSE[name]["volumes"]
    source, target, mode = mount.split(":")
    assert (source, mode) == ("./otel", "ro")
    assert flag == f"--config={target}/{name}.yaml"


@pytest.mark.parametrize("service", SERVICES)
def test_services_send_to_the_collector_where_it_listens(service):
    endpoint = urlsplit(COMPOSE[service]["environment"][f"DUOSCRIBE_{service.upper()}_TRACES_ENDPOINT"])
    assert (endpoint.scheme, endpoint.hostname, endpoint.port) == (
        "http",
        "collector",
        otlp_port("collector"),
    )


def test_the_collector_bounds_its_memory_first_and_sends_on_to_jaeger():
    config = CONFIGURED["collector"]
    assert config["service"]["pipelines"]["traces"]["processors"][0] == "memory_limiter"
    assert config["exporters"]["otlp"]["endpoint"] == f"jaeger:{otlp_port('jaeger')}"


def test_jaeger_keeps_a_bounded_number_of_traces_where_its_pages_look_for_them():
    config = CONFIGURED["jaeger"]
    ((name, backend),) = config["extensions"]["jaeger_storage"]["backends"].items()
    assert backend["memory"]["max_traces"] > 0
    assert config["exporters"]["jaeger_storage_exporter"]["trace_storage"] == name
    assert config["extensions"]["jaeger_query"]["storage"] == {"traces": name}


def test_grafana_asks_jaeger_where_it_is_published():
    (source,) = yaml.safe_load((FOLDER / "grafana/datasources/jaeger.yaml").read_text())["datasources"]
    asked = urlsplit(source["url"])
    assert asked.hostname == "jaeger"
    assert COMPOSE["jaeger"]["ports"] == [f"127.0.0.1:{asked.port}:{asked.port}"]


def test_on_kubernetes_the_collector_may_be_reached_where_the_settings_say():
    manifests = rendered("overlays/tracing")
    (rule,) = of_kind(manifests, "NetworkPolicy")["traces"]["spec"]["egress"]
    for service in SERVICES:
        settings = environment(manifests, service_container(pods(manifests)[service]))
        endpoint = urlsplit(settings[f"DUOSCRIBE_{service.upper()}_TRACES_ENDPOINT"])
        assert rule["ports"] == [{"port": endpoint.port}]
    ((label, value),) = rule["to"][0]["namespaceSelector"]["matchLabels"].items()
    assert f"{label}={value}" in DOCUMENT.read_text(encoding="utf-8")
