"""Backends over TLS: who they are, who may call them, and certificates that change while recordings are under way."""

import asyncio
import datetime as dt
from collections import Counter
from dataclasses import replace

import pytest
from cryptography import x509
from grpc import StatusCode
from prometheus_client import CollectorRegistry

from gateway.backends import Backends
from gateway.client import TranscriptionError
from gateway.config import GatewayConfig
from serving.certificates import UnusableCertificate
from serving.server import running
from support.certificates import Authority
from support.gateway.deployment import deployed
from support.gateway.fakes import diarization, recognition
from support.waiting import until

WORDS = "hello there"


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def folders(tmp_path, authority):
    """Of each service, the files that it is given."""
    places = {name: tmp_path / name for name in ("asr", "diarization", "gateway")}
    for name, folder in places.items():
        authority.identity(name).write(folder)
    return places


def serving_with(folder):
    return {
        "tls_certificate": folder / "tls.crt",
        "tls_key": folder / "tls.key",
        "tls_client_ca": folder / "ca.crt",
    }


def calling_with(folder):
    return {
        "backend_certificate": folder / "tls.crt",
        "backend_key": folder / "tls.key",
        "backend_ca": folder / "ca.crt",
    }


def backends(folders):
    asr, diarizer = recognition((0.5, 2.5, WORDS)), diarization((0.4, 2.6, "SPEAKER_00"))
    for backend, name in ((asr, "asr"), (diarizer, "diarization")):
        backend.config = replace(backend.config, **serving_with(folders[name]))
    return asr, diarizer


async def test_both_sides_show_certificates_and_the_recording_is_transcribed(tmp_path, folders):
    async with deployed(tmp_path, *backends(folders), **calling_with(folders["gateway"])) as door:
        assert (await door.transcript()).text == WORDS
        described = await door.client.describe()
    assert (described.asr.family, described.HasField("diarization")) == ("fake", True)


@pytest.mark.parametrize(
    "gateway",
    [
        lambda authority: replace(Authority().identity("gateway"), trusted=authority.certificate),
        lambda authority: authority.identity("gateway", ends_in=dt.timedelta(minutes=-1)),
        lambda authority: Authority().identity("gateway"),
    ],
    ids=["of another authority", "expired", "which trusts another authority"],
)
async def test_a_gateway_that_backends_do_not_let_in_says_that_they_are_unavailable(
    tmp_path, folders, authority, gateway
):
    gateway(authority).write(folders["gateway"])
    settings = calling_with(folders["gateway"])
    async with deployed(tmp_path, *backends(folders), attempts=2, **settings) as door:
        with pytest.raises(TranscriptionError) as refused:
            await door.file(1.0)
    assert refused.value.code == StatusCode.UNAVAILABLE
    assert "CERTIFICATE" not in refused.value.message


async def test_a_gateway_without_a_certificate_is_let_in_nowhere(tmp_path, folders):
    settings = {"backend_ca": folders["gateway"] / "ca.crt", "attempts": 2}
    async with deployed(tmp_path, *backends(folders), **settings) as door:
        with pytest.raises(TranscriptionError) as refused:
            await door.file(1.0)
    assert refused.value.code == StatusCode.UNAVAILABLE


@pytest.mark.parametrize(("expected", "reached"), [("asr.internal", True), ("other.internal", False)])
async def test_replicas_at_ip_addresses_prove_the_name_that_the_gateway_was_told(
    tmp_path, folders, authority, expected, reached
):
    authority.identity("asr", name="asr.internal").write(folders["asr"])
    settings = {**calling_with(folders["gateway"]), "asr_server_name": expected}
    async with deployed(tmp_path, *backends(folders), **settings) as door:
        assert (await door.client.describe()).HasField("asr") == reached


@pytest.mark.parametrize(("name", "reached"), [("localhost", True), ("elsewhere", False)])
async def test_replicas_that_a_name_resolves_to_prove_that_name(folders, authority, name, reached):
    authority.identity("asr", name=name).write(folders["asr"])
    asr, _ = backends(folders)
    async with running(asr, asr.config) as server:
        await server.wait_serving()
        port = server.address.rpartition(":")[2]
        settings = GatewayConfig(asr=(f"dns:///localhost:{port}",), **calling_with(folders["gateway"]))
        backend = Backends(settings, CollectorRegistry())
        await until(lambda: backend.asr.replicas.pick(Counter()))
        described, _ = await backend.describe(2.0)
        await backend.close()
    assert (described is not None) == reached


async def test_all_certificates_change_while_a_recording_is_under_way(tmp_path, folders):
    """To those of another authority, as when the old one is replaced: nobody takes the old ones from then on."""
    asr, diarizer = backends(folders)
    async with deployed(tmp_path, asr, diarizer, **calling_with(folders["gateway"])) as door:
        asr.released.clear()
        under_way = asyncio.create_task(door.transcript())
        await asr.called.wait()
        renewed = Authority()
        for name, folder in folders.items():
            renewed.identity(name).write(folder)
        asr.released.set()
        assert (await door.transcript()).text == WORDS

        transcript = await under_way
        assert transcript.text == WORDS
        assert [stage.attempts for stage in transcript.completed.stages] == [1, 1]


async def test_the_expiry_of_what_backends_are_shown_is_told(folders, authority):
    registry = CollectorRegistry()
    backend = Backends(GatewayConfig(**calling_with(folders["gateway"])), registry)
    identity = authority.identity("gateway", ends_in=dt.timedelta(days=1))
    identity.write(folders["gateway"])
    ends = x509.load_pem_x509_certificate(identity.certificate).not_valid_after_utc
    name = "duoscribe_gateway_backend_certificate_expiry_timestamp_seconds"
    assert registry.get_sample_value(name) == ends.timestamp()
    await backend.close()


async def test_a_gateway_does_not_start_with_files_that_cannot_be_used(tmp_path, folders):
    (folders["gateway"] / "tls.key").write_text("no key")
    with pytest.raises(UnusableCertificate, match="holds no private key"):
        async with deployed(tmp_path, *backends(folders), **calling_with(folders["gateway"])):
            pytest.fail("it serves")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"backend_key": "x"}, "--backend-certificate and --backend-key need each other"),
        ({"backend_certificate": "x", "backend_key": "y"}, "--backend-certificate needs --backend-ca"),
    ],
)
def test_settings_that_need_each_other(given, words):
    with pytest.raises(ValueError, match=words):
        GatewayConfig(**given)
