"""Who is let in over HTTP, and how much each may have: as over gRPC."""

import asyncio
import contextlib
import ssl
from dataclasses import replace

import grpc
import httpx2
import openai
import pytest
from grpc import StatusCode
from prometheus_client import CollectorRegistry

from gateway.access.tokens import line_for
from gateway.access.vouching import Voucher
from gateway.config import GatewayConfig
from gateway.http.app import application
from support.calling import describe
from support.certificates import Authority
from support.gateway.fakes import diarization, recognition
from support.gateway.http import (
    MODEL,
    PATH,
    TEXT,
    answering,
    http_address,
    official,
    posting,
    recording,
)
from support.waiting import until

TOKENS = "\n".join(line_for(name, name) for name in ("billing", "archive", "retired"))
CALLERS = """
default.allowed = false
callers.billing.allowed = true
callers."spiffe://duoscribe/caller/billing".allowed = true
"""


@contextlib.asynccontextmanager
async def asking(tmp_path, *backends, callers="", tokens=TOKENS, **changes):
    files = {"callers_file": callers, "tokens_file": tokens}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    paths = {name: tmp_path / name for name, content in files.items() if content}
    async with answering(tmp_path, *backends, **paths, **changes) as door:
        yield door


async def text(client, **options):
    return (await client.audio.transcriptions.create(file=recording(), model=MODEL, **options)).text


async def test_a_token_lets_its_caller_in_and_no_other_does(tmp_path):
    async with asking(tmp_path, callers=CALLERS) as door:
        async with official(door, "billing") as client:
            assert await text(client) == TEXT
        async with official(door, "retired") as client:
            with pytest.raises(openai.PermissionDeniedError, match="retired may not call this gateway"):
                await text(client)
        async with official(door, "guessed") as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await text(client)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.response.headers["www-authenticate"] == "Bearer"
    assert "guessed" not in str(caught.value)


async def test_who_is_not_known_is_told_before_anything_of_the_body_is_sent(tmp_path):
    async with asking(tmp_path) as door, posting(door) as connection:
        status, body = await connection.answer()
    assert status == 401
    assert b"does not say who makes it" in body


async def test_a_caller_has_so_many_recordings_in_flight(tmp_path):
    asr = recognition((0.5, 1.0, "hello"))
    asr.released.clear()
    limits = "default.streams = 1"
    async with (
        asking(tmp_path, asr, diarization(), callers=limits) as door,
        official(door, "billing") as billing,
        official(door, "archive") as archive,
    ):
        first = asyncio.create_task(text(billing))
        await until(lambda: asr.calls)
        with pytest.raises(openai.RateLimitError) as caught:
            await text(billing)
        other = asyncio.create_task(text(archive))
        await until(lambda: len(asr.calls) == 2)
        asr.released.set()
        assert (await first, await other) == ("hello", "hello")
    assert caught.value.code == "rate_limit_exceeded"
    headers = caught.value.response.headers
    assert 1 <= int(headers["retry-after"]) <= 60
    assert int(headers["retry-after"]) == -(-int(headers["retry-after-ms"]) // 1000)


async def test_the_official_client_comes_again_when_there_is_room(tmp_path):
    asr = recognition((0.5, 1.0, "hello"))
    asr.released.clear()
    async with (
        asking(tmp_path, asr, diarization(), tokens="", max_streams=1) as door,
        official(door, max_retries=3) as client,
    ):
        first = asyncio.create_task(text(client))
        await until(lambda: asr.calls)
        second = asyncio.create_task(text(client))
        refused = {"path": PATH, "status": "429"}
        name = "duoscribe_gateway_http_requests_total"
        await until(lambda: door.registry.get_sample_value(name, refused))
        asr.released.set()
        assert (await first, await second) == ("hello", "hello")


async def test_health_is_open_to_everybody(tmp_path):
    async with asking(tmp_path) as door, httpx2.AsyncClient() as client:
        answer = await client.get(f"http://{http_address(door)}/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "SERVING"})


async def test_a_request_keeps_its_id_and_its_trace(tmp_path):
    asr = recognition((0.5, 1.0, "hello"))
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"x-request-id": "talk-7", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    async with asking(tmp_path, asr, diarization(), tokens="") as door, official(door) as client:
        raw = await client.audio.transcriptions.with_raw_response.create(
            file=recording(), model=MODEL, extra_headers=headers
        )
        assert raw.headers["x-request-id"] == "talk-7"
        assert asr.calls[0].request_id == "talk-7"
        assert trace in asr.calls[0].metadata["traceparent"]
        with pytest.raises(openai.BadRequestError) as caught:
            await text(client, prompt="x", extra_headers={"x-request-id": "x" * 129})
        assert len(caught.value.request_id) == 32


async def test_requests_are_counted_by_what_became_of_them(tmp_path):
    asr = recognition((0.5, 1.0, "hello"))
    asr.released.clear()

    def told(name, **labels):
        return door.registry.get_sample_value(name, labels) or 0

    def count(status, path=PATH):
        return told("duoscribe_gateway_http_requests_total", path=path, status=status)

    async with asking(tmp_path, asr, diarization()) as door, official(door, "billing") as client:
        left = asyncio.create_task(text(client))
        await until(lambda: asr.calls)
        left.cancel()
        await until(lambda: count("499") == 1 and told("duoscribe_streams") == 0)
        asr.released.set()
        before = told("duoscribe_gateway_caller_audio_seconds_total", caller="billing")
        await text(client)
        with pytest.raises(openai.NotFoundError):
            await client.get("/anything", cast_to=object)
        assert (count("200"), count("404", "other")) == (1, 1)
        assert told("duoscribe_gateway_http_request_seconds_count", path=PATH) == 2
        # The gateway's own figures hold for these calls too.
        after = told("duoscribe_gateway_caller_audio_seconds_total", caller="billing")
        assert after - before == 6.0


@pytest.fixture
def authority():
    return Authority()


def tls(authority, folder, **others):
    authority.identity("gateway").write(folder)
    files = {"tls_certificate": folder / "tls.crt", "tls_key": folder / "tls.key"}
    return files | {name: folder / file for name, file in others.items()}


def secured(door, identity, token="unasked"):
    context = ssl.create_default_context(cadata=identity.trusted.decode())
    if identity.key:
        identity.write(door.spool_directory.parent / "peer")
        folder = door.spool_directory.parent / "peer"
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return official(
        door,
        token,
        base_url=f"https://{http_address(door)}/v1",
        http_client=openai.DefaultAsyncHttpxClient(verify=context),
    )


def anonymous(authority):
    return replace(authority.identity("caller"), certificate=b"", key=b"")


async def test_http_is_encrypted_where_grpc_is(tmp_path, authority):
    async with asking(tmp_path, **tls(authority, tmp_path / "tls")) as door:
        async with secured(door, anonymous(authority), "billing") as client:
            assert await text(client) == TEXT
        async with secured(door, anonymous(Authority()), "billing") as client:
            with pytest.raises(openai.APIConnectionError):
                await text(client)
        async with official(door, "billing") as client:
            with pytest.raises(openai.APIConnectionError):
                await text(client)


async def test_a_client_certificate_names_the_caller_as_it_does_over_grpc(tmp_path, authority):
    files = tls(authority, tmp_path / "tls", tls_client_ca="ca.crt")
    async with asking(tmp_path, callers=CALLERS, tokens="", **files) as door:
        for name, allowed in (("billing", True), ("archive", False)):
            identity = authority.identity(f"caller/{name}")
            async with secured(door, identity) as client:
                if allowed:
                    assert await text(client) == TEXT
                else:
                    with pytest.raises(
                        openai.PermissionDeniedError, match="spiffe://duoscribe/caller/archive"
                    ):
                        await text(client)
            over_grpc, _ = await describe(door, credentials=identity.credentials())
            assert over_grpc is (StatusCode.OK if allowed else StatusCode.PERMISSION_DENIED)
        for stranger in (anonymous(authority), Authority().identity("caller/billing")):
            async with secured(door, replace(stranger, trusted=authority.certificate)) as client:
                with pytest.raises(openai.APIConnectionError):
                    await text(client)


async def test_a_connection_without_a_certificate_never_becomes_anonymous(tmp_path, authority):
    """As if TLS had let it in."""
    config = GatewayConfig(**tls(authority, tmp_path / "tls", tls_client_ca="ca.crt"))
    channel = grpc.aio.insecure_channel("unix:nowhere")
    app = application(channel, config, Voucher(), CollectorRegistry())
    async with channel, httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as client:
        answer = await client.post("http://gateway/v1/audio/transcriptions")
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "the connection has no client certificate"


async def test_a_token_goes_before_the_certificate(tmp_path, authority):
    files = tls(authority, tmp_path / "tls", tls_client_ca="ca.crt")
    async with asking(tmp_path, callers=CALLERS, **files) as door:
        proxy = authority.identity("proxy")
        for token, refusal in (("archive", openai.PermissionDeniedError), ("x", openai.AuthenticationError)):
            async with secured(door, proxy, token) as client:
                with pytest.raises(refusal):
                    await text(client)
        async with secured(door, proxy, "billing") as client:
            assert await text(client) == TEXT


async def test_no_header_claims_a_certificate(tmp_path):
    claimed = {
        "x-forwarded-client-cert": "URI=spiffe://duoscribe/caller/billing",
        "x-duoscribe-voucher": "guessed",
        "x-duoscribe-certificate-bin": "AAAA",
    }
    async with asking(tmp_path, callers=CALLERS, tokens="") as door, official(door) as client:
        with pytest.raises(openai.PermissionDeniedError, match="anonymous may not"):
            await text(client, extra_headers=claimed)


async def test_a_trusted_proxy_says_who_calls(tmp_path):
    header = {"x-forwarded-client-cert": "By=spiffe://a;URI=spiffe://duoscribe/caller/billing"}
    trusting = {"trust_client_certificate_header": True}
    async with asking(tmp_path, callers=CALLERS, tokens="", **trusting) as door, official(door) as client:
        assert await text(client, extra_headers=header) == TEXT
        with pytest.raises(openai.AuthenticationError, match="send a client certificate"):
            await text(client)


async def test_certificates_and_authorities_are_taken_up_when_their_files_change(tmp_path, authority):
    folder = tmp_path / "tls"
    async with asking(tmp_path, tokens="", **tls(authority, folder, tls_client_ca="ca.crt")) as door:
        old = authority.identity("caller")
        async with secured(door, old) as client:
            assert await text(client) == TEXT
        other = Authority()
        other.identity("gateway").write(folder)
        async with secured(door, other.identity("caller")) as client:
            assert await text(client) == TEXT
        async with secured(door, replace(old, trusted=other.certificate)) as client:
            with pytest.raises(openai.APIConnectionError):
                await text(client)
        (folder / "tls.crt").unlink()
        (folder / "tls.crt").write_bytes(b"half-written")
        async with secured(door, other.identity("caller")) as client:
            assert await text(client) == TEXT
