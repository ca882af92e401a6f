"""What the README shows is run as it stands."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from speech.gateway.v1 import gateway_pb2
from support.gateway.fake_gateway import fake_gateway

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SPOKEN = "SPEAKER_00: Hello there.\nSPEAKER_01: Hi!\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"), ids=["stubs", "client"])
async def test_python_examples(code: str, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(code)
    (tmp_path / "call.wav").write_bytes(b"RIFF" * 50_000)
    async with fake_gateway() as (gateway, address):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, tmp_path / "example.py", address, tmp_path / "call.wav"),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out.decode()) == (0, SPOKEN)
    assert bytes(gateway.calls[0].audio) == b"RIFF" * 50_000


def test_stub_example_tells_of_errors(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(blocks("python")[0])
    (tmp_path / "call.wav").write_bytes(b"RIFF")
    done = subprocess.run(
        [sys.executable, tmp_path / "example.py", "unix:/nowhere.sock", tmp_path / "call.wav"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("UNAVAILABLE: ")


def test_messages_for_grpcurl_are_an_upload(tmp_path: Path) -> None:
    (script,) = blocks("sh")
    producer, curl, _ = script.partition("| grpcurl")
    assert curl
    recording = bytes(range(256)) * 8_000
    (tmp_path / "call.wav").write_bytes(recording)
    done = subprocess.run(["sh", "-c", producer], cwd=tmp_path, capture_output=True, text=True, check=True)
    messages = [json_format.Parse(line, gateway_pb2.TranscribeRequest()) for line in done.stdout.splitlines()]
    assert messages[0].config.audio_format.container.name == "call.wav"
    assert messages[0].config.results.final_only
    assert b"".join(message.audio for message in messages) == recording
    assert messages[-1].HasField("end_of_audio")
    assert max(len(message.audio) for message in messages) < 4 * 1024 * 1024


async def test_what_grpcurl_asks_for_is_reflected() -> None:
    asked = re.findall(r"(speech\.gateway\.v1\.Transcription|grpc\.health\.v1\.Health)(?:/(\w+))?", README)
    assert len(asked) >= 4
    async with fake_gateway() as (_, address):
        await asyncio.to_thread(look_up, address, asked)


def look_up(address: str, asked: list[tuple[str, str]]) -> None:
    with grpc.insecure_channel(address) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        for service, method in asked:
            assert not method or method in pool.FindServiceByName(service).methods_by_name


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
