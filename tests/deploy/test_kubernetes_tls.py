"""The component in which the services speak TLS themselves: who has which certificate, and who may call with it."""

from pathlib import PurePosixPath

import pytest

from support.manifests import SERVICES, environment, of_kind, pods, rendered, service_container

MANIFESTS = rendered("overlays/tls")
CERTIFICATES = of_kind(MANIFESTS, "Certificate")
# What cert-manager puts into a Secret; of the authority of the callers only its certificate is there.
KEYS = {"tls.crt", "tls.key", "ca.crt"}
# Made by whoever runs the cluster, as docs/deployment.md says.
FROM_OUTSIDE = {"callers": {"ca.crt"}}

service = pytest.mark.parametrize("service", SERVICES)


def mounted(service: str) -> dict[PurePosixPath, str]:
    """Every file that a service finds under its mounted Secrets, and the Secret that it is from."""
    pod = pods(MANIFESTS)[service]
    secrets = {volume["name"]: volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    return {
        PurePosixPath(mount["mountPath"], key): secrets[mount["name"]]["secretName"]
        for mount in service_container(pod)["volumeMounts"]
        if mount["name"] in secrets
        for key in FROM_OUTSIDE.get(secrets[mount["name"]]["secretName"], KEYS)
    }


def settings(service: str) -> dict[str, str]:
    """What the service is told, without the prefix."""
    prefix = f"DUOSCRIBE_{service.upper()}_"
    found = environment(MANIFESTS, service_container(pods(MANIFESTS)[service]))
    return {name.removeprefix(prefix): value for name, value in found.items()}


@service
def test_every_file_that_is_named_is_mounted_from_a_secret_that_somebody_makes(service: str):
    files = mounted(service)
    named = {
        name: PurePosixPath(value)
        for name, value in settings(service).items()
        if name.startswith(("TLS_", "BACKEND_"))
    }
    assert {"TLS_CERTIFICATE", "TLS_KEY", "TLS_CLIENT_CA"} <= named.keys()
    assert set(named.values()) == set(files)
    made = {certificate["spec"]["secretName"] for certificate in CERTIFICATES.values()}
    assert set(files.values()) <= made | set(FROM_OUTSIDE)


@service
def test_secrets_are_mounted_to_be_read_by_the_services_group_alone(service: str):
    pod = pods(MANIFESTS)[service]
    volumes = [volume for volume in pod["spec"]["volumes"] if "secret" in volume]
    assert {volume["secret"]["defaultMode"] for volume in volumes} == {0o440}
    assert pod["spec"]["securityContext"]["fsGroup"] == pod["spec"]["securityContext"]["runAsGroup"]
    mounts = {mount["name"]: mount for mount in service_container(pod)["volumeMounts"]}
    assert all(mounts[volume["name"]]["readOnly"] for volume in volumes)


def test_the_key_of_an_authority_is_mounted_nowhere():
    authorities = {one["spec"]["secretName"] for one in CERTIFICATES.values() if one["spec"].get("isCA")}
    assert authorities
    assert not authorities & {secret for name in SERVICES for secret in mounted(name).values()}


def test_certificates_hold_the_names_that_the_gateway_calls():
    for backend in ("asr", "diarization"):
        host = settings("gateway")[backend.upper()].rpartition(":")[0]
        assert host in CERTIFICATES[backend]["spec"]["dnsNames"]


def test_backends_take_the_gateways_certificate_and_no_other():
    own = {name: one["spec"] for name, one in CERTIFICATES.items() if not one["spec"].get("isCA")}
    assert own.keys() == set(SERVICES)
    assert {name for name, spec in own.items() if "client auth" in spec["usages"]} == {"gateway"}
    assert {spec["issuerRef"]["name"] for spec in own.values()} == {"duoscribe"}
    for backend in ("asr", "diarization"):
        files, client_ca = mounted(backend), PurePosixPath(settings(backend)["TLS_CLIENT_CA"])
        assert files[client_ca] == f"{backend}-tls"


def test_the_gateway_asks_its_callers_for_certificates_of_their_own_authority():
    assert mounted("gateway")[PurePosixPath(settings("gateway")["TLS_CLIENT_CA"])] == "callers"


def test_issuers_are_there():
    issuers = of_kind(MANIFESTS, "Issuer")
    for certificate in CERTIFICATES.values():
        assert certificate["spec"]["issuerRef"]["name"] in issuers
    secrets = {certificate["spec"]["secretName"] for certificate in CERTIFICATES.values()}
    assert {one["spec"]["ca"]["secretName"] for one in issuers.values() if "ca" in one["spec"]} <= secrets


@service
def test_health_in_plain_text_is_open_to_the_kubelet_only(service: str):
    port = int(settings(service)["HEALTH_ADDRESS"].rpartition(":")[2])
    for policy in of_kind(MANIFESTS, "NetworkPolicy").values():
        for rule in policy["spec"].get("ingress", []):
            assert all(each["port"] not in {port, "health"} for each in rule["ports"])


def test_no_proxy_is_told_that_the_services_speak_plain_text():
    for service in of_kind(MANIFESTS, "Service").values():
        assert all("appProtocol" not in port for port in service["spec"]["ports"])
