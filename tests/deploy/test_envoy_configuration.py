"""What every file of deploy/envoy has in common, and that Envoy takes each of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.certificates import Authority
from support.envoy import place, read, validate
from support.processes import free_address

LISTENERS = {
    "edge": ["callers"],
    "gateway": ["mesh", "recognition", "diarization"],
    "backend": ["mesh"],
}
CLUSTERS = {"edge": ["gateways"], "gateway": ["asr", "diarization", "service"], "backend": ["service"]}
# Replicas are healthy by what they say of this service, so one at another's address gets no calls.
CHECKED = {
    "gateways": "speech.gateway.v1.Transcription",
    "asr": "speech.asr.v1.SpeechRecognition",
    "diarization": "speech.diarization.v1.SpeakerDiarization",
}
OPEN_TO = {
    "edge": {"prefix": "spiffe://duoscribe/caller/"},
    "gateway": {"exact": "spiffe://duoscribe/edge"},
    "backend": {"exact": "spiffe://duoscribe/gateway"},
}

each_file = pytest.mark.parametrize("name", LISTENERS)


def listeners(name: str) -> list[Any]:
    return list(read(name)["static_resources"]["listeners"])


def managers(name: str) -> Iterator[Any]:
    for listener in listeners(name):
        yield listener["filter_chains"][0]["filters"][0]["typed_config"]


def clusters(name: str) -> dict[str, Any]:
    return {cluster["name"]: cluster for cluster in read(name)["static_resources"]["clusters"]}


def replicated() -> dict[str, Any]:
    return clusters("edge") | {name: clusters("gateway")[name] for name in ("asr", "diarization")}


@each_file
def test_envoy_takes_it_and_warns_of_nothing_deprecated(name, tmp_path):
    placed = place(
        name,
        tmp_path,
        Authority().identity(name),
        listeners={listener: free_address() for listener in LISTENERS[name]},
        clusters={cluster: [free_address()] for cluster in CLUSTERS[name]},
    )
    assert "eprecated" not in validate(placed)


@each_file
def test_no_clock_cuts_a_recording(name):
    for manager in managers(name):
        assert manager["stream_idle_timeout"] == "0s"
        assert "max_stream_duration" not in manager.get("common_http_protocol_options", {})
        for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
            assert route["route"]["timeout"] == "0s"


@each_file
def test_whoever_is_not_on_this_machine_shows_a_certificate(name):
    for listener in listeners(name):
        if listener["address"]["socket_address"]["address"] == "127.0.0.1":
            continue
        tls = listener["filter_chains"][0]["transport_socket"]["typed_config"]
        assert tls["require_client_certificate"] is True
        validation = tls["common_tls_context"]["combined_validation_context"]["default_validation_context"]
        (name_of_peer,) = validation["match_typed_subject_alt_names"]
        assert name_of_peer == {"san_type": "URI", "matcher": OPEN_TO[name]}


@each_file
def test_every_call_is_logged_with_its_request_id(name):
    for manager in managers(name):
        (log,) = manager["access_log"]
        assert log["typed_config"]["log_format"]["json_format"]["request_id"] == "%REQ(X-REQUEST-ID)%"


@pytest.mark.parametrize("name", CHECKED)
def test_calls_go_to_healthy_replicas_only_and_to_the_less_busy(name):
    cluster = replicated()[name]
    (check,) = cluster["health_checks"]
    assert check["grpc_health_check"] == {"service_name": CHECKED[name]}
    assert cluster["common_lb_config"]["healthy_panic_threshold"] == {"value": 0}
    (policy,) = cluster["load_balancing_policy"]["policies"]
    assert policy["typed_extension_config"]["name"] == "envoy.load_balancing_policies.least_request"
    # A scan of all replicas would choose the one that refused for the next attempt again.
    assert policy["typed_extension_config"]["typed_config"]["choice_count"] == 2
    assert cluster["outlier_detection"]["max_ejection_percent"] == 50
    assert cluster["circuit_breakers"]["thresholds"][0]["max_requests"]
