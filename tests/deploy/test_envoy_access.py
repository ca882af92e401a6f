"""Who may call through the Envoys of deploy/envoy: certificates at the edge, tokens and limits at the gateways behind it."""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
import pytest_asyncio

from gateway.client import Transcript, TranscriptionClient, TranscriptionError, configuration
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from support.certificates import Authority, Identity
from support.envoy import Envoy
from support.gateway.deployment import PCM, audio
from support.gateway.fakes import diarization, recognition
from support.issuer import AUDIENCE, ISSUER, Issuer, jwks
from support.mesh import REPLICAS, Mesh, meshed, upload
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = "hello there"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

# Each gateway counts by itself.
CALLERS = """
callers.billing.streams = 1
callers."spiffe://duoscribe/caller/tests".streams = 1
"""


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> AsyncIterator[Mesh]:
    folder = tmp_path_factory.mktemp("mesh")
    settings = {"jwks_file": folder / "jwks.json", "callers_file": folder / "limits.toml"}
    settings["jwks_file"].write_text(jwks(issuer.jwk()))
    settings["callers_file"].write_text(CALLERS)
    async with meshed(
        folder,
        lambda: recognition((0.5, 1.5, WORDS)),
        lambda: diarization((0.4, 1.6, "SPEAKER_00")),
        **settings,
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
    ) as mesh:
        yield mesh


def client(mesh: Mesh, token: str) -> TranscriptionClient:
    credentials = mesh.authority.identity("caller/tests").credentials()
    return TranscriptionClient(mesh.address, credentials=credentials, token=token)


@asynccontextmanager
async def recording(caller: TranscriptionClient) -> AsyncIterator[None]:
    """A recording in mid-upload, which goes on to its end when the block does, and then has to be whole."""
    understood, more, transcript = asyncio.Event(), asyncio.Event(), Transcript()

    async def held() -> AsyncIterator[bytes]:
        async for chunk in audio(5.0):
            yield chunk
            await more.wait()

    async def followed() -> None:
        async for event in caller.transcribe(held(), configuration(pcm=PCM)):
            transcript.apply(event)
            understood.set()

    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed())
        waiting = tasks.create_task(understood.wait())
        await asyncio.wait({following, waiting}, return_when=asyncio.FIRST_COMPLETED)
        yield
        more.set()
    assert (transcript.text, transcript.completed.partial) == (WORDS, False)


async def refusal(caller: TranscriptionClient) -> TranscriptionError:
    with pytest.raises(TranscriptionError) as caught:
        await upload(caller)
    return caught.value


async def test_no_certificate_a_wrong_and_an_expired_one_get_no_connection_and_others_go_on(mesh, issuer):
    right, stranger = mesh.authority, Authority().identity("caller/tests")
    refused = {
        "PEER_DID_NOT_RETURN": Identity(b"", b"", right.certificate),
        "unable_to_get_local_issuer": Identity(stranger.certificate, stranger.key, right.certificate),
        "certificate_has_expired": right.identity("caller/tests", ends_in=dt.timedelta(hours=-1)),
    }
    async with client(mesh, issuer.token("archive")) as other, recording(other):
        for reason, identity in refused.items():
            async with mesh.client(identity) as caller:
                assert (await refusal(caller)).code is grpc.StatusCode.UNAVAILABLE
            await until(lambda reason=reason: reason in refusals(mesh.edge))


def refusals(envoy: Envoy) -> str:
    return " ".join(call.get("refused") or "" for call in envoy.calls())


async def test_an_expired_token_and_one_of_another_issuer_are_refused_and_others_go_on(mesh, issuer):
    async with client(mesh, issuer.token("archive")) as other, recording(other):
        for token, said in (
            (issuer.token("billing", exp=time.time() - 600), "the token has expired; get a new one"),
            (Issuer(issuer.kid).token("billing"), "the token is not valid"),
        ):
            async with client(mesh, token) as caller:
                error = await refusal(caller)
            assert error.code is grpc.StatusCode.UNAUTHENTICATED
            assert said in error.message


async def test_who_is_at_its_limit_is_told_when_to_come_back_and_others_go_on(mesh, issuer):
    async with AsyncExitStack() as stack:
        billing = await stack.enter_async_context(client(mesh, issuer.token("billing")))
        archive = await stack.enter_async_context(client(mesh, issuer.token("archive")))
        # The edge offers what one gateway refuses to the other: each has room for one.
        for _ in range(REPLICAS):
            await stack.enter_async_context(recording(billing))
        error = await refusal(billing)
        assert (await upload(archive)).text == WORDS
        # By its certificate it is another caller.
        async with mesh.client() as tests:
            assert (await upload(tests)).text == WORDS
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.retry_after is not None
    assert 1 <= error.retry_after <= 60


async def test_the_callers_trace_and_request_id_reach_the_backends(mesh):
    said = (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"), ("x-request-id", "call-7"))
    credentials = mesh.authority.identity("caller/tests").credentials()
    async with grpc.aio.secure_channel(mesh.address, credentials) as channel:
        stub = gateway_pb2_grpc.TranscriptionStub(channel)
        answer = await stub.TranscribeFile(messages(), metadata=said, timeout=30)
    assert answer.request_id == "call-7"
    for service in ("asr", "diarization"):
        calls = [call for replica in mesh.replicas[service] for call in replica.services[-1].calls]
        (call,) = (call for call in calls if call.request_id == "call-7")
        assert call.metadata["traceparent"].split("-")[1] == TRACE


async def messages() -> AsyncIterator[gateway_pb2.TranscribeFileRequest]:
    yield gateway_pb2.TranscribeFileRequest(config=configuration(pcm=PCM))
    async for chunk in audio(5.0):
        yield gateway_pb2.TranscribeFileRequest(audio=chunk)
    yield gateway_pb2.TranscribeFileRequest(end_of_audio={})
