"""TLS of a server: who is let in, what callers can check, and files that change while it runs."""

import asyncio
import datetime as dt
from contextlib import asynccontextmanager

import grpc
import pytest
from cryptography import x509
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from serving.certificates import UnusableCertificate
from serving.config import ServerConfig
from serving.server import running
from speech.asr.v1 import asr_pb2, asr_pb2_grpc
from support.certificates import Authority, Identity
from support.fake_service import NAME, FakeService, Gate, answers, audio, config, end, limits, status_of
from support.fake_service import opened as opened_in_plain_text

EXPIRED = dt.timedelta(minutes=-1)
EXPIRY = "duoscribe_tls_certificate_expiry_timestamp_seconds"


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def folder(tmp_path, authority):
    """Holds the server's certificate, its key, and the authority of its callers."""
    authority.identity("server").write(tmp_path)
    return tmp_path


def secured(folder, *, mutual=False, **changes):
    files = {"tls_certificate": folder / "tls.crt", "tls_key": folder / "tls.key"}
    return limits(**files, **({"tls_client_ca": folder / "ca.crt"} if mutual else {}), **changes)


@asynccontextmanager
async def opened(config, *, service=None, registry=None):
    async with running(service or FakeService(config), config, registry) as server:
        await server.wait_serving()
        yield server


@asynccontextmanager
async def connected(address, identity):
    """A caller with connections of its own; one who is None speaks plain text."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    if identity is None:
        channel = grpc.aio.insecure_channel(address, options=options)
    else:
        channel = grpc.aio.secure_channel(address, identity.credentials(), options=options)
    async with channel:
        yield asr_pb2_grpc.SpeechRecognitionStub(channel)


async def described(address, identity):
    async with connected(address, identity) as stub:
        return (await stub.DescribeRecognition(asr_pb2.DescribeRecognitionRequest(), timeout=10)).family


async def refusal(address, identity):
    status = await status_of(described(address, identity))
    return code_pb2.Code.Name(status.code), status.message


def without_certificate(authority):
    return Identity(b"", b"", authority.certificate)


def trusting(identity, authority):
    return Identity(identity.certificate, identity.key, authority.certificate)


async def test_callers_check_the_server_and_need_no_certificate_unless_one_is_asked_for(authority, folder):
    async with opened(secured(folder)) as server:
        assert await described(server.address, without_certificate(authority)) == "fake"


async def test_callers_who_trust_another_authority_do_not_talk_to_it(folder):
    async with opened(secured(folder)) as server:
        code, message = await refusal(server.address, without_certificate(Authority()))
    assert code == "UNAVAILABLE"
    assert "CERTIFICATE_VERIFY_FAILED" in message


async def test_plain_text_is_not_understood(folder):
    async with opened(secured(folder)) as server:
        assert (await refusal(server.address, None))[0] == "UNAVAILABLE"


async def test_with_an_authority_for_callers_those_are_let_in_whom_it_knows(authority, folder):
    async with opened(secured(folder, mutual=True)) as server:
        assert await described(server.address, authority.identity("caller")) == "fake"


@pytest.mark.parametrize(
    "caller",
    [
        without_certificate,
        lambda authority: trusting(Authority().identity("caller"), authority),
        lambda authority: authority.identity("caller", ends_in=EXPIRED),
        lambda authority: authority.identity("another service", only_serves=True),
    ],
    ids=["without a certificate", "of another authority", "expired", "with a certificate for servers"],
)
async def test_with_an_authority_for_callers_all_others_get_no_connection(authority, folder, caller):
    async with opened(secured(folder, mutual=True)) as server:
        assert (await refusal(server.address, caller(authority)))[0] == "UNAVAILABLE"


async def test_a_renewed_certificate_is_shown_to_new_callers_while_a_stream_goes_on(authority, folder):
    gate, renewed = Gate(), Authority()
    settings = secured(folder)
    async with (
        opened(settings, service=FakeService(settings, read=gate.read)) as server,
        connected(server.address, without_certificate(authority)) as stub,
    ):
        call = asyncio.create_task(answers(stub.Recognize(messages(config(), audio(b"abc"), end()))))
        await gate.entered.wait()
        renewed.identity("server").write(folder)

        assert await described(server.address, without_certificate(renewed)) == "fake"
        assert (await refusal(server.address, without_certificate(authority)))[0] == "UNAVAILABLE"
        gate.released.set()
        assert (await call)[1].completed.words == 3


async def test_a_renewed_authority_for_callers_holds_for_new_connections(authority, folder):
    renewed, server_identity = Authority(), authority.identity("server")
    old, new = authority.identity("caller"), trusting(renewed.identity("caller"), authority)
    async with opened(secured(folder, mutual=True)) as server, connected(server.address, old) as stub:
        await stub.DescribeRecognition(asr_pb2.DescribeRecognitionRequest())
        assert (await refusal(server.address, new))[0] == "UNAVAILABLE"

        trusting(server_identity, renewed).write(folder)

        assert await described(server.address, new) == "fake"
        assert (await refusal(server.address, old))[0] == "UNAVAILABLE"
        assert await stub.DescribeRecognition(asr_pb2.DescribeRecognitionRequest())


def half_written(folder, identity):
    (folder / "tls.crt").write_bytes(identity.certificate[: len(identity.certificate) // 2])


def key_not_yet_there(folder, identity):
    (folder / "tls.crt").write_bytes(identity.certificate)


def removed(folder, identity):
    (folder / "tls.key").unlink()


def key_with_a_password(folder, identity):
    (folder / "tls.key").write_bytes(
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----"
    )


def authority_emptied(folder, identity):
    (folder / "ca.crt").write_bytes(b"")


BROKEN = [
    (half_written, "tls.crt holds no certificate in PEM"),
    (key_not_yet_there, "tls.key is not the key of the first certificate in"),
    (removed, "tls.key cannot be read: No such file"),
    (key_with_a_password, "tls.key holds no private key in PEM without a password"),
    (authority_emptied, "ca.crt holds no certificate in PEM"),
]


@pytest.mark.parametrize(("breaks", "words"), BROKEN)
async def test_files_that_do_not_fit_leave_the_old_ones_in_use_and_are_told_of_once(
    authority, folder, log_lines, breaks, words
):
    caller, renewed = authority.identity("caller"), Authority()
    async with opened(secured(folder, mutual=True)) as server:
        breaks(folder, renewed.identity("server"))
        for _ in range(3):
            assert await described(server.address, caller) == "fake"
        (line,) = [line for line in log_lines() if line["level"] == "error"]
        assert line["event"] == "changed certificates cannot be used; the old ones stay"
        assert words in line["reason"]

        renewed.identity("server").write(folder)
        assert await described(server.address, renewed.identity("caller")) == "fake"


@pytest.mark.parametrize(("breaks", "words"), BROKEN)
async def test_a_server_does_not_start_with_files_that_do_not_fit(authority, folder, breaks, words):
    breaks(folder, authority.identity("other"))
    with pytest.raises(UnusableCertificate, match=words):
        async with opened(secured(folder, mutual=True)):
            pytest.fail("it serves")


async def test_a_socket_stays_plain_text(folder):
    settings = secured(folder, mutual=True, address=f"unix:{folder}/door.sock")
    async with opened_in_plain_text(FakeService(settings)) as door:
        assert await door.describe() == "fake"


async def test_probes_that_cannot_speak_tls_ask_for_health_and_for_nothing_else(folder):
    settings = secured(folder, mutual=True, health_address="127.0.0.1:0")
    loaded = asyncio.Event()
    service = FakeService(settings, start=loaded.wait)
    async with running(service, settings) as server:
        door = server.addresses.health_address
        assert await health(door) == "NOT_SERVING"
        loaded.set()
        await server.wait_serving()
        assert await health(door) == "SERVING"
        assert (await refusal(door, None))[0] == "UNIMPLEMENTED"
        await server.stop()
        assert await health(door) == "NOT_SERVING"


async def health(address):
    async with grpc.aio.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=NAME)
        answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


async def test_the_expiry_that_is_told_is_that_of_the_certificate_in_use(authority, folder):
    registry = CollectorRegistry()
    async with opened(secured(folder), registry=registry):
        for ends_in in (dt.timedelta(days=1), dt.timedelta(days=2)):
            identity = authority.identity("server", ends_in=ends_in)
            identity.write(folder)
            ends = x509.load_pem_x509_certificate(identity.certificate).not_valid_after_utc
            assert registry.get_sample_value(EXPIRY) == ends.timestamp()


async def test_a_server_without_tls_tells_no_expiry():
    registry = CollectorRegistry()
    async with opened(limits(), registry=registry):
        assert registry.get_sample_value(EXPIRY) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tls_certificate": "x"}, "--tls-certificate and --tls-key need each other"),
        ({"tls_key": "x"}, "--tls-certificate and --tls-key need each other"),
        ({"tls_client_ca": "x"}, "--tls-client-ca needs --tls-certificate"),
    ],
)
def test_settings_that_need_each_other(given, words):
    with pytest.raises(ValueError, match=words):
        ServerConfig(**given)


async def messages(*several):
    for message in several:
        yield message
