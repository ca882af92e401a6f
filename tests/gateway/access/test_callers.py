"""Who is let in by a real gateway, over real sockets, and who is told what instead."""

import contextlib

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.access.tokens import line_for
from gateway.client import configuration
from support.calling import bearer, client, describe, refusal, replace
from support.certificates import Authority
from support.gateway.deployment import PCM, audio, deployed
from support.gateway.fakes import diarization, recognition
from support.issuer import AUDIENCE, ISSUER, Issuer, jwks

FORWARDED = "x-forwarded-client-cert"


@contextlib.asynccontextmanager
async def gateway(tmp_path, *, files=None, **changes):
    """`files` are options that name a file, with what it says."""
    paths = {}
    for option, content in (files or {}).items():
        paths[option] = tmp_path / option
        paths[option].write_text(content)
    async with deployed(tmp_path, recognition(), diarization(), **paths, **changes) as door:
        yield door


@pytest.fixture
def tokens():
    return {"tokens_file": f"{line_for('billing', 'first')}\n{line_for('archive', 'second')}\n"}


async def test_where_nothing_is_configured_nobody_is_asked(tmp_path):
    async with gateway(tmp_path) as door:
        for metadata in ((), bearer("anything"), (("authorization", "Basic eA=="),), ((FORWARDED, "URI=a"),)):
            assert (await describe(door, metadata))[0] is StatusCode.OK


async def test_a_token_lets_its_caller_in(tmp_path, tokens):
    async with gateway(tmp_path, files=tokens) as door:
        for metadata in (bearer("first"), bearer("second"), (("authorization", "bearer  first"),)):
            assert (await describe(door, metadata))[0] is StatusCode.OK
        async with client(door, "first") as caller:
            assert (
                await caller.transcribe_file(audio(1.0), configuration(pcm=PCM))
            ).completed.duration.seconds == 1


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ((), "does not say who makes it; send a token, in the metadata authorization as Bearer TOKEN"),
        (bearer("third"), "not one that counts here"),
        (bearer(""), "once, as Bearer TOKEN"),
        ((("authorization", "Basic first"),), "once, as Bearer TOKEN"),
        ((("authorization", "first"),), "once, as Bearer TOKEN"),
        ((*bearer("first"), *bearer("second")), "once, as Bearer TOKEN"),
        (((FORWARDED, "By=spiffe://a;URI=spiffe://duoscribe/caller/billing"),), "does not say who makes it"),
    ],
)
async def test_who_shows_no_token_that_counts_is_not_known(tmp_path, tokens, metadata, said):
    async with gateway(tmp_path, files=tokens) as door:
        code, message = await describe(door, metadata)
    assert code is StatusCode.UNAUTHENTICATED
    assert said in message
    assert "third" not in message


async def test_an_upload_is_refused_before_it_is_read(tmp_path, tokens):
    async with gateway(tmp_path, files=tokens) as door:
        assert (await refusal(door.file())).code is StatusCode.UNAUTHENTICATED
        assert (await refusal(door.transcript())).code is StatusCode.UNAUTHENTICATED


async def test_health_is_open_and_reflection_is_not(tmp_path, tokens):
    async with gateway(tmp_path, files=tokens) as door, grpc.aio.insecure_channel(door.address) as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        reflect = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflect(iter([b""]), timeout=10).read()
        assert caught.value.code() is StatusCode.UNAUTHENTICATED
        await reflect(iter([b""]), metadata=bearer("first"), timeout=10).read()


async def test_tokens_are_given_and_taken_away_without_a_restart(tmp_path, tokens):
    async with gateway(tmp_path, files=tokens) as door:
        replace(tmp_path / "tokens_file", line_for("billing", "renewed"))
        assert (await describe(door, bearer("renewed")))[0] is StatusCode.OK
        assert (await describe(door, bearer("first")))[0] is StatusCode.UNAUTHENTICATED
        replace(tmp_path / "tokens_file", "billing: duoscribe_not_a_hash")
        assert (await describe(door, bearer("renewed")))[0] is StatusCode.OK


async def test_a_signed_token_lets_in_whom_it_names_beside_plain_ones(tmp_path, tokens):
    issuer = Issuer()
    files = {**tokens, "jwks_file": jwks(issuer.jwk()), "callers_file": "callers.retired.allowed = false"}
    signed = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    async with gateway(tmp_path, files=files, **signed) as door:
        assert (await describe(door, bearer(issuer.token("billing"))))[0] is StatusCode.OK
        assert (await describe(door, bearer("first")))[0] is StatusCode.OK
        assert (await describe(door, bearer(issuer.token("retired"))))[0] is StatusCode.PERMISSION_DENIED
        code, message = await describe(door, bearer(issuer.token(exp=1)))
        assert (code, message) == (StatusCode.UNAUTHENTICATED, "the token has expired; get a new one")
        for name in ("", "a\nb", "x" * 256, " billing"):
            assert (await describe(door, bearer(issuer.token(name))))[0] is StatusCode.UNAUTHENTICATED


async def test_keys_without_an_issuer_and_an_audience_are_refused(tmp_path):
    for given in ({}, {"jwt_issuer": ISSUER}, {"jwt_audience": AUDIENCE}):
        with pytest.raises(ValueError, match="--jwks-file needs --jwt-issuer and --jwt-audience"):
            async with gateway(tmp_path, files={"jwks_file": jwks(Issuer().jwk())}, **given):
                pass


NAMED_ONLY = """
default.allowed = false
callers."spiffe://duoscribe/caller/billing".allowed = true
callers.billing.allowed = true
"""


@pytest.fixture
def authority():
    return Authority()


def tls(authority, folder):
    authority.identity("gateway").write(folder)
    return {
        "tls_certificate": folder / "tls.crt",
        "tls_key": folder / "tls.key",
        "tls_client_ca": folder / "ca.crt",
    }


async def test_a_client_certificate_names_the_caller(tmp_path, authority):
    files, settings = {"callers_file": NAMED_ONLY}, tls(authority, tmp_path / "tls")
    async with gateway(tmp_path, files=files, **settings) as door:
        for name, code in (("billing", StatusCode.OK), ("archive", StatusCode.PERMISSION_DENIED)):
            credentials = authority.identity(f"caller/{name}").credentials()
            told, message = await describe(door, credentials=credentials)
            assert told is code
            assert code is StatusCode.OK or message.startswith("spiffe://duoscribe/caller/archive may not")


async def test_a_token_goes_before_the_certificate_of_the_connection(tmp_path, authority, tokens):
    files, settings = {**tokens, "callers_file": NAMED_ONLY}, tls(authority, tmp_path / "tls")
    credentials = authority.identity("proxy").credentials()
    async with gateway(tmp_path, files=files, **settings) as door:
        for metadata, code in (
            ((), StatusCode.PERMISSION_DENIED),
            (bearer("first"), StatusCode.OK),
            (bearer("second"), StatusCode.PERMISSION_DENIED),
            (bearer("third"), StatusCode.UNAUTHENTICATED),
        ):
            assert (await describe(door, metadata, credentials))[0] is code


async def test_a_trusted_proxy_says_who_calls_and_its_own_certificate_does_not_count(tmp_path, authority):
    files, settings = {"callers_file": NAMED_ONLY}, tls(authority, tmp_path / "tls")
    proxy = authority.identity("caller/billing").credentials()
    billing = ((FORWARDED, 'By=spiffe://a;Hash=0f;Subject="";URI=spiffe://duoscribe/caller/billing'),)
    archive = ((FORWARDED, f"{billing[0][1]},By=spiffe://a;URI=spiffe://duoscribe/caller/archive"),)
    trusting = {**settings, "trust_client_certificate_header": True}
    async with gateway(tmp_path, files=files, **trusting) as door:
        assert (await describe(door, billing, proxy))[0] is StatusCode.OK
        assert (await describe(door, archive, proxy))[0] is StatusCode.PERMISSION_DENIED
        for metadata in ((), ((FORWARDED, "nonsense"),)):
            code, message = await describe(door, metadata, proxy)
            assert code is StatusCode.UNAUTHENTICATED
            assert message.endswith("send a client certificate")
    async with gateway(tmp_path, files=files, **settings) as door:
        other = authority.identity("caller/archive").credentials()
        assert (await describe(door, billing, other))[0] is StatusCode.PERMISSION_DENIED
