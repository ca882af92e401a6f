"""What holds for every call of the gateway holds for Riva's: who may, how much, health, reflection, and the extra."""

import asyncio
import subprocess
import sys

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from gateway.access.tokens import line_for
from gateway.riva.servicer import RivaService
from support.certificates import Authority
from support.gateway.deployment import deployed
from support.gateway.fakes import diarization, recognition
from support.gateway.riva import calling, cut, refusal, silence

UTTERANCE = (0.5, 2.5, "hello there you")

# Says which services there are where Riva's package is not installed.
WITHOUT_RIVA = """
import sys
sys.modules["riva"] = None
from prometheus_client import CollectorRegistry
from gateway.config import GatewayConfig
from gateway.servicer import TranscriptionService
print(*TranscriptionService(GatewayConfig(), CollectorRegistry()).names)
"""


def metadata(token: str):
    return [["authorization", f"Bearer {token}"]]


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"{line_for('billing', 'first')}\n")
    return {"tokens_file": path}


async def test_a_token_is_asked_for_and_taken(tmp_path, tokens):
    async with deployed(tmp_path, recognition(UTTERANCE), diarization(), **tokens) as door:
        for auth in ({}, {"metadata_args": metadata("third")}):
            async with calling(door.address, **auth) as stranger:
                for call in (stranger.recognize(silence()), stranger.stream(cut(silence()))):
                    assert (await refusal(call)).code is StatusCode.UNAUTHENTICATED
        async with calling(door.address, metadata_args=metadata("first")) as billing:
            assert (await billing.recognize(silence())).results
            assert await billing.stream(cut(silence()))


async def test_a_token_that_the_client_sends_twice_under_tls_counts_once(tmp_path, tokens):
    folder = tmp_path / "certificate"
    Authority().identity("gateway").write(folder)
    tls = {"tls_certificate": folder / "tls.crt", "tls_key": folder / "tls.key"}
    async with deployed(tmp_path, recognition(UTTERANCE), diarization(), **tokens, **tls) as door:
        auth = {"ssl_root_cert": folder / "ca.crt", "metadata_args": metadata("first")}
        async with calling(door.address, **auth) as billing:
            assert (await billing.recognize(silence())).results
            assert await billing.stream(cut(silence()))


@pytest.mark.parametrize("limit", ["the gateway's", "the caller's"])
async def test_a_recording_in_one_message_takes_a_place_like_any_other(tmp_path, limit):
    (tmp_path / "callers.toml").write_text("default.streams = 1")
    settings = {"max_streams": 1} if limit == "the gateway's" else {"callers_file": tmp_path / "callers.toml"}
    asr = recognition(UTTERANCE)
    asr.released.clear()
    async with deployed(tmp_path, asr, diarization(), **settings) as door, calling(door.address) as caller:
        first = asyncio.create_task(caller.recognize(silence()))
        await asr.called.wait()
        for call in (caller.recognize(silence()), caller.stream(cut(silence()))):
            assert (await refusal(call)).code is StatusCode.RESOURCE_EXHAUSTED
        asr.released.set()
        assert (await first).results
        assert (await caller.recognize(silence())).results


async def test_audio_counts_for_its_caller(tmp_path, tokens):
    (tmp_path / "callers.toml").write_text("default.audio_minutes_per_hour = 0.1")
    settings = {**tokens, "callers_file": tmp_path / "callers.toml"}
    async with (
        deployed(tmp_path, recognition(UTTERANCE), diarization(), **settings) as door,
        calling(door.address, metadata_args=metadata("first")) as billing,
    ):
        await billing.recognize(silence(9.0))
        assert "0.1 minutes of audio" in (await refusal(billing.recognize(silence(1.0)))).message
        counted = door.registry.get_sample_value(
            "duoscribe_gateway_caller_audio_seconds_total", {"caller": "billing"}
        )
    assert counted == 9.0


async def test_it_is_healthy_where_the_gateway_is_and_counted_by_its_own_name(tmp_path):
    async with (
        deployed(tmp_path, recognition(UTTERANCE), diarization()) as door,
        calling(door.address) as caller,
        grpc.aio.insecure_channel(door.address) as channel,
    ):
        health = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=RivaService.name)
        )
        reflected = await caller.threaded(
            lambda: ProtoReflectionDescriptorDatabase(caller.auth.channel).get_services()
        )
        await caller.recognize(silence())
        handled = door.registry.get_sample_value(
            "grpc_server_handled_total",
            {
                "grpc_type": "unary",
                "grpc_service": "nvidia.riva.asr.RivaSpeechRecognition",
                "grpc_method": "Recognize",
                "grpc_code": "OK",
            },
        )
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert handled == 1.0
    assert RivaService.name in reflected


def test_without_the_extra_the_gateway_serves_what_it_serves():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RIVA], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["speech.gateway.v1.Transcription"]
