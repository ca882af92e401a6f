"""Envoy between callers, gateways and backends, as deploy/envoy configures it: mutual TLS, and replicas that come and go."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.client import TranscriptionClient, TranscriptionError
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from support.certificates import Authority, Identity
from support.envoy import Envoy, place
from support.gateway import riva
from support.gateway.fakes import diarization, failing, recognition
from support.mesh import REPLICAS, Mesh, meshed, upload
from support.processes import free_address
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

UTTERANCES = ((0.5, 2.5, "hello there you"), (3.0, 5.0, "well hi my friend"), (5.2, 8.0, "how are you"))
TURNS = ((0.4, 2.6, "SPEAKER_00"), (2.9, 5.1, "SPEAKER_01"), (5.1, 8.0, "SPEAKER_00"))
WORDS = "hello there you well hi my friend how are you"

# Seconds between the chunks of the callers' uploads, which last up to 2 s.
PACES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    folder = tmp_path_factory.mktemp("mesh")
    callers = folder / "callers.toml"
    callers.write_text('callers."spiffe://duoscribe/caller/retired".allowed = false')
    async with meshed(
        folder, lambda: recognition(*UTTERANCES), lambda: diarization(*TURNS), callers_file=callers
    ) as mesh:
        yield mesh


async def health(address: str, identity: Identity) -> int:
    """As the service behind an Envoy tells it. Raises AioRpcError."""
    async with grpc.aio.secure_channel(address, identity.credentials()) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    return answer.status


async def refusal(call) -> grpc.StatusCode:
    with pytest.raises((TranscriptionError, grpc.aio.AioRpcError)) as caught:
        await call
    code = caught.value.code
    return code() if callable(code) else code


async def test_every_envoy_on_the_way_logs_the_recording_under_its_request_id(mesh):
    def logged(service: str, method: str) -> set[str]:
        calls = [call for replica in mesh.replicas[service] for call in Envoy(replica.envoy).calls()]
        return {call["request_id"] for call in calls if call["method"].endswith(method)}

    async with mesh.client() as client:
        transcript = await upload(client)
    assert transcript.text == WORDS
    request_id = transcript.started.request_id
    await until(lambda: request_id in {call.get("request_id") for call in mesh.edge.calls()})
    for service, method in (
        ("gateway", "/Transcribe"),
        ("gateway", "/Recognize"),
        ("gateway", "/Diarize"),
        ("asr", "/Recognize"),
        ("diarization", "/Diarize"),
    ):
        await until(lambda service=service, method=method: request_id in logged(service, method))


async def test_a_request_id_that_the_caller_sends_is_kept(mesh):
    credentials = mesh.authority.identity("caller/tests").credentials()
    async with grpc.aio.secure_channel(mesh.address, credentials) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        await check(health_pb2.HealthCheckRequest(), metadata=(("x-request-id", "call-7"),), timeout=5)
    envoys = (mesh.edge, *(Envoy(replica.envoy) for replica in mesh.replicas["gateway"]))

    def logged() -> int:
        return sum(call.get("request_id") == "call-7" for envoy in envoys for call in envoy.calls())

    await until(lambda: logged() == 2)


async def test_rivas_own_client_gets_through_with_its_certificate(mesh, tmp_path):
    mesh.authority.identity("caller/tests").write(tmp_path)
    auth = {
        "ssl_root_cert": tmp_path / "ca.crt",
        "ssl_client_cert": tmp_path / "tls.crt",
        "ssl_client_key": tmp_path / "tls.key",
    }
    async with riva.calling(mesh.address, **auth) as caller:
        whole = await caller.recognize(riva.silence())
        streamed = await caller.stream(riva.cut(riva.silence()))
    for results in (whole.results, [response.results[0] for response in streamed]):
        assert "".join(result.alternatives[0].transcript for result in results) == f"{WORDS} "


async def test_the_access_log_names_the_caller_by_its_certificate(mesh):
    async with mesh.client(mesh.authority.identity("caller/billing")) as client:
        await upload(client)

    def callers() -> set[str]:
        return {call.get("caller") for call in mesh.edge.calls() if call.get("status") == "OK"}

    await until(lambda: "spiffe://duoscribe/caller/billing" in callers())


async def test_the_gateway_knows_the_caller_by_its_certificate_and_not_by_what_it_says(mesh):
    said = (("x-forwarded-client-cert", "By=spiffe://duoscribe/gateway;URI=spiffe://duoscribe/caller/tests"),)
    for name, code in (("tests", grpc.StatusCode.OK), ("retired", grpc.StatusCode.PERMISSION_DENIED)):
        credentials = mesh.authority.identity(f"caller/{name}").credentials()
        async with grpc.aio.secure_channel(mesh.address, credentials) as channel:
            call = gateway_pb2_grpc.TranscriptionStub(channel).DescribeTranscription(
                gateway_pb2.DescribeTranscriptionRequest(), metadata=said, timeout=10
            )
            assert await call.code() is code
            assert code is grpc.StatusCode.OK or f"caller/{name}" in await call.details()


async def test_callers_without_a_certificate_that_counts_are_refused(mesh):
    stranger = Authority().identity("caller/tests")
    trusting = mesh.authority.identity("caller/tests")
    for identity in (
        Identity(b"", b"", trusting.trusted),
        Identity(stranger.certificate, stranger.key, trusting.trusted),
        mesh.authority.identity("gateway"),
    ):
        async with mesh.client(identity) as client:
            assert await refusal(client.describe(timeout=5)) == grpc.StatusCode.UNAVAILABLE
    async with TranscriptionClient(mesh.address) as plain:
        assert await refusal(plain.describe(timeout=5)) == grpc.StatusCode.UNAVAILABLE
    async with mesh.client() as client:
        await client.describe(timeout=5)
    reasons = ("PEER_DID_NOT_RETURN", "unable_to_get_local_issuer", "SAN_matcher", "WRONG_VERSION_NUMBER")
    await until(lambda: all(reason in refused_connections(mesh) for reason in reasons))


def refused_connections(mesh: Mesh) -> str:
    """What the edge's log says of them."""
    return " ".join(call.get("refused") or "" for call in mesh.edge.calls())


@pytest.mark.parametrize(
    ("service", "expected"), [("gateway", "edge"), ("asr", "gateway"), ("diarization", "gateway")]
)
async def test_a_service_is_open_to_the_one_that_calls_it_and_nobody_else(mesh, service, expected):
    door = mesh.doors[service][0]
    assert await health(door, mesh.authority.identity(expected)) == health_pb2.HealthCheckResponse.SERVING
    for other in {"edge", "gateway", "asr", "caller/tests"} - {expected}:
        assert await refusal(health(door, mesh.authority.identity(other))) == grpc.StatusCode.UNAVAILABLE
    assert await refusal(health(door, Authority().identity(expected))) == grpc.StatusCode.UNAVAILABLE


async def test_nothing_but_transcription_and_health_can_be_called_from_outside(mesh):
    identity = mesh.authority.identity("caller/tests")
    assert await health(mesh.address, identity) == health_pb2.HealthCheckResponse.SERVING
    async with grpc.aio.secure_channel(mesh.address, identity.credentials()) as channel:
        reflect = channel.unary_unary("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        assert await refusal(reflect(b"", timeout=5)) == grpc.StatusCode.UNIMPLEMENTED


async def test_an_edge_sends_nothing_to_who_is_not_a_gateway(mesh, tmp_path):
    address = free_address()
    edge = place(
        "edge",
        tmp_path,
        mesh.authority.identity("edge"),
        listeners={"callers": address},
        # Behind its certificate, signed by the right authority, is another service.
        clusters={"gateways": mesh.doors["asr"]},
    )
    caller = mesh.authority.identity("caller/tests")
    async with (
        Envoy(edge) as running,
        TranscriptionClient(address, credentials=caller.credentials()) as client,
    ):
        assert await refusal(upload(client)) == grpc.StatusCode.UNAVAILABLE
        assert await running.stat("cluster.gateways.ssl.fail_verify_san") > 0


async def test_a_new_certificate_is_taken_without_a_restart(mesh):
    renewed, replica = Authority(), mesh.replicas["asr"][0]
    try:
        renewed.identity("asr").write(replica.envoy.certificates)
        await until_open(mesh.doors["asr"][0], renewed.identity("gateway"))
        assert await refusal(health(mesh.doors["asr"][0], mesh.authority.identity("gateway")))
    finally:
        mesh.authority.identity("asr").write(replica.envoy.certificates)
    await until_open(mesh.doors["asr"][0], mesh.authority.identity("gateway"))
    await mesh.until_whole()


async def until_open(door: str, identity: Identity) -> None:
    async with asyncio.timeout(10):
        while await seen(door, identity) != health_pb2.HealthCheckResponse.SERVING:  # noqa: ASYNC110  asked, not told
            await asyncio.sleep(0.05)


async def seen(door: str, identity: Identity) -> int | None:
    try:
        return await health(door, identity)
    except grpc.aio.AioRpcError:
        return None


async def test_every_replica_is_replaced_under_load_and_no_recording_fails(mesh):
    answers, stopping = [], asyncio.Event()

    async def call_again_and_again(pause: float) -> None:
        async with mesh.client() as client:
            while not stopping.is_set():
                transcript = await upload(client, pause=pause)
                answers.append((transcript.text, transcript.completed.partial))

    async with asyncio.TaskGroup() as tasks:
        for pause in PACES:
            tasks.create_task(call_again_and_again(pause))
        await until(lambda: len(answers) > 3 * len(PACES))
        for index in range(REPLICAS):
            await mesh.replace(index)
        # The last one to come has to be found by those who balance.
        await until(lambda: all(backend.calls for backend in backends(mesh)))
        stopping.set()
    assert set(answers) == {(WORDS, False)}
    assert len(backends(mesh)) == 2 * 2 * REPLICAS


def backends(mesh: Mesh) -> list[Any]:
    """Everyone who served behind either kind of backend, those that were replaced included."""
    replicas = (*mesh.replicas["asr"], *mesh.replicas["diarization"])
    return [backend for replica in replicas for backend in replica.services]


async def test_a_replica_that_is_healthy_and_fails_is_sent_away(mesh):
    """The last test of the mesh, which is not whole after it."""
    bad = mesh.replicas["asr"][0].services[-1]
    bad.faults = [failing(grpc.StatusCode.UNAVAILABLE, after=0)] * 100
    async with asyncio.timeout(10), mesh.client() as client:
        while not await ejections(mesh):
            assert (await upload(client)).text == WORDS


async def ejections(mesh: Mesh) -> int:
    """Replicas of recognition that any gateway's Envoy sent away."""
    envoys = (Envoy(replica.envoy) for replica in mesh.replicas["gateway"])
    return sum([await envoy.stat("cluster.asr.outlier_detection.ejections_active") for envoy in envoys])
