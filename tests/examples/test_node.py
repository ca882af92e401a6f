"""A caller with nothing of ours but the contract: Node, grpc-js and the .proto files."""

import asyncio
import os
from hashlib import sha256

import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2, status_pb2

from support.audio import wav
from support.certificates import Authority
from support.gateway.deployment import deployed
from support.gateway.fake_gateway import fake_gateway
from support.gateway.fakes import diarization, recognition
from support.node import ROOT, NodeClient
from tools.generate_stubs import descriptor_set

UTTERANCES = ((0.5, 2.5, "hello there you"), (3.0, 5.0, "well hi my friend"))
TURNS = ((0.4, 2.6, "SPEAKER_00"), (2.9, 5.1, "SPEAKER_01"))
TRANSCRIPT = "[0.5 - 2.5] SPEAKER_00: hello there you\n[3.0 - 5.0] SPEAKER_01: well hi my friend\n"
RECORDING = wav(np.zeros(10 * 16_000, np.float32), 16_000)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> NodeClient:
    return NodeClient(tmp_path_factory.mktemp("node"))


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "call.wav"
    path.write_bytes(RECORDING)
    return path


def gateway(folder, **settings):
    return deployed(folder, recognition(*UTTERANCES), diarization(*TURNS), **settings)


async def test_a_recording_is_transcribed(client, recording, tmp_path):
    async with gateway(tmp_path) as door:
        ended = await client.run(door.address, recording)
    assert (ended.code, ended.out) == (0, TRANSCRIPT), ended.err


async def test_segments_are_shown_while_the_recording_is_still_uploaded(client, tmp_path):
    os.mkfifo(tmp_path / "call.wav")
    async with gateway(tmp_path) as door:
        process = await client.start(door.address, tmp_path / "call.wav")
        with await asyncio.to_thread((tmp_path / "call.wav").open, "wb", 0) as spoken:
            spoken.write(RECORDING[: len(RECORDING) * 8 // 10])
            first = await asyncio.wait_for(process.stderr.readline(), 60)
            spoken.write(RECORDING[len(RECORDING) * 8 // 10 :])
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert first.decode() == "[0.5 - 2.5] ?: hello there you\n"
    assert (process.returncode, out.decode()) == (0, TRANSCRIPT), err


async def test_a_token_goes_over_mutual_tls(client, recording, tmp_path):
    authority, folder = Authority(), tmp_path / "tls"
    authority.identity("gateway", name="localhost").write(folder)
    (tmp_path / "callers.toml").write_text("default.allowed = false\ncallers.billing.allowed = true")
    (tmp_path / "tokens").write_text(f"billing: {sha256(b'let-me-in').hexdigest()}")
    (tmp_path / "token").write_text("let-me-in\n")
    settings = {
        "tls_certificate": folder / "tls.crt",
        "tls_key": folder / "tls.key",
        "tls_client_ca": folder / "ca.crt",
        "tokens_file": tmp_path / "tokens",
        "callers_file": tmp_path / "callers.toml",
    }
    shown = ("--ca", folder / "ca.crt", "--certificate", folder / "tls.crt", "--key", folder / "tls.key")
    async with gateway(tmp_path, **settings) as door:
        address = door.address.replace("127.0.0.1", "localhost")
        known = await client.run(*shown, "--token-file", tmp_path / "token", address, recording)
        unknown = await client.run(*shown, address, recording)
    assert (known.code, known.out) == (0, TRANSCRIPT), known.err
    assert unknown.code == 1
    assert unknown.err.startswith("PERMISSION_DENIED: spiffe://duoscribe/gateway may not")


async def test_an_error_says_what_is_wrong_and_when_to_try_again(client, tmp_path):
    (tmp_path / "busy.wav").write_bytes(b"busy")
    async with fake_gateway() as (_, address):
        ended = await client.run(address, tmp_path / "busy.wav")
    said = "RESOURCE_EXHAUSTED: every place is taken; try again in 7 s\n"
    assert (ended.code, ended.out, ended.err) == (1, "", said)


async def test_an_error_names_the_field(client, tmp_path):
    (tmp_path / "call.wav").write_bytes(b"no recording")
    async with gateway(tmp_path) as door:
        ended = await client.run(door.address, tmp_path / "call.wav")
    assert ended.err.startswith("INVALID_ARGUMENT: audio: ")


async def test_nobody_at_the_address_is_an_error(client, recording):
    ended = await client.run("127.0.0.1:1", recording)
    assert ended.code == 1
    assert ended.err.startswith("UNAVAILABLE: ")


def test_what_the_example_says_of_google_rpc_is_what_google_says(tmp_path):
    descriptor_set(tmp_path / "said", ROOT / "examples" / "node" / "protos")
    said = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "said").read_bytes())
    theirs = [descriptor_pb2.FileDescriptorProto() for _ in range(2)]
    status_pb2.DESCRIPTOR.CopyToProto(theirs[0])
    error_details_pb2.DESCRIPTOR.CopyToProto(theirs[1])
    ours = sent(file for file in said.file if file.package == "google.rpc")
    assert {name for name, *_ in ours} == {"Status", "RetryInfo", "BadRequest", "BadRequest.FieldViolation"}
    assert ours <= sent(theirs)


def sent(files):
    """The fields of all messages, by what counts when they are sent and read."""
    found, left = set(), [(message.name, message) for file in files for message in file.message_type]
    for name, message in left:
        found |= {(name, each.name, each.number, each.type, each.label) for each in message.field}
        left.extend((f"{name}.{each.name}", each) for each in message.nested_type)
    return found
