"""Dashboards and alerts ask only for what the services tell, and every alert has its paragraph for the operator."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import yaml
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from promql_parser import VectorSelector

from serving.metrics import exemplar
from support.told import told
from tools.dockerfile import DOCKERFILE, read

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
ALERTS = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in sorted((DEPLOY / "dashboards").glob("*.json"))
}
JOBS = {"gateway", "asr", "diarization"}
# Prometheus gives these to all that it scrapes.
ADDED_LABELS = {"job", "instance"}
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def series_told() -> dict[str, set[str]]:
    """Labels by name of every series that one of the services tells."""
    return {"up": set(ADDED_LABELS)} | {
        name + suffix: {*family.labels, *ADDED_LABELS, *({"le"} if suffix == "_bucket" else ())}
        for families in told().values()
        for name, family in families.items()
        for suffix in SUFFIXES[family.kind]
    }


TOLD = series_told()


def expressions() -> Iterator[tuple[str, str]]:
    for alert in ALERTS:
        yield alert["alert"], alert["expr"]
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["expr"]


def parsed(expression: str):
    """Grafana's own variable stands for a duration."""
    return promql_parser.parse(expression.replace("$__rate_interval", "5m"))


def selectors(expression) -> list[VectorSelector]:
    found = []

    def visit(node):
        found.extend([node] if isinstance(node, VectorSelector) else [])
        return True

    promql_parser.walk(expression, visit)
    return found


asked = pytest.mark.parametrize(
    "expression", [e for _, e in expressions()], ids=[n for n, _ in expressions()]
)


@asked
def test_every_series_asked_for_is_told(expression):
    names = {selector.name for selector in selectors(parsed(expression))}
    assert names
    assert names <= set(TOLD)


@asked
def test_labels_are_those_of_the_series(expression):
    series = selectors(parsed(expression))
    matched = {matcher.name for selector in series for matcher in selector.matchers.matchers}
    grouped = {
        label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", expression) for label in labels.split(",")
    }
    for selector in series:
        assert matched | grouped <= TOLD[selector.name] | ADDED_LABELS


@asked
def test_jobs_are_those_that_are_scraped(expression):
    for selector in selectors(parsed(expression)):
        for matcher in selector.matchers.matchers:
            if matcher.name == "job":
                assert set(matcher.value.split("|")) <= JOBS


def test_a_series_that_nobody_tells_would_be_found():
    (selector,) = selectors(parsed("rate(duoscribe_asr_nothing_total[5m])"))
    assert selector.name == "duoscribe_asr_nothing_total"
    assert selector.name not in TOLD
    assert "duoscribe_asr_audio_seconds_total" in TOLD


def test_whatever_the_services_count_is_on_a_dashboard():
    shown = {selector.name for name, e in expressions() if ":" in name for selector in selectors(parsed(e))}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in TOLD if name.startswith("duoscribe_")}
    assert families == {
        re.sub(r"_(bucket|count|sum)$", "", name) for name in shown if name.startswith("duoscribe_")
    }


def test_prometheus_asks_each_service_where_its_image_answers():
    images = read(DOCKERFILE.read_text(encoding="utf-8"))
    found = {config["job_name"]: config["dns_sd_configs"][0] for config in PROMETHEUS["scrape_configs"]}
    assert set(found) == JOBS
    for job, place in found.items():
        address = images.environment(job)[f"DUOSCRIBE_{job.upper()}_METRICS_ADDRESS"]
        assert place["names"] == [job]
        assert address.endswith(f":{place['port']}")
    assert PROMETHEUS["rule_files"] == ["alerts.yml"]


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_every_alert_says_how_bad_it_is_and_what_to_do(alert):
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert f"\n### {alert['alert']}\n" in OPERATIONS
    labels = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
    kept = set.union(*(TOLD[selector.name] for selector in selectors(parsed(alert["expr"]))))
    assert labels <= kept


def test_the_page_explains_no_alert_that_cannot_fire():
    assert re.findall(r"^### (Duoscribe\w+)$", OPERATIONS, flags=re.MULTILINE) == [
        alert["alert"] for alert in ALERTS
    ]


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
def test_panels_ask_the_data_source_that_is_provisioned(dashboard):
    (source,) = yaml.safe_load((DEPLOY / "grafana/datasources/prometheus.yaml").read_text())["datasources"]
    for panel in dashboard["panels"]:
        assert {
            panel["datasource"]["uid"],
            *(target["datasource"]["uid"] for target in panel["targets"]),
        } == {source["uid"]}


def test_an_exemplars_trace_is_looked_up_where_traces_are_kept():
    sources = [
        source
        for path in (DEPLOY / "grafana" / "datasources").glob("*.yaml")
        for source in yaml.safe_load(path.read_text())["datasources"]
    ]
    with use_span(NonRecordingSpan(SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(1)))):
        (label,) = exemplar() or {}
    (link,) = next(source["jsonData"] for source in sources if source["type"] == "prometheus")[
        "exemplarTraceIdDestinations"
    ]
    assert link["name"] == label
    assert link["datasourceUid"] in {source["uid"] for source in sources if source["type"] == "jaeger"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboards_are_known_by_their_file(name):
    dashboard = DASHBOARDS[name]
    assert dashboard["uid"] == name
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len({panel["id"] for panel in dashboard["panels"]}) == len(places)
