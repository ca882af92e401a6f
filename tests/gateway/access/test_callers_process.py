"""The gateway as operators run it: tokens made on the command line, files at fault, and what stands in the log."""

import json
import subprocess
import sys

import grpc
import pytest
from click.testing import CliRunner

from gateway.access.tokens import Tokens
from gateway.cli import main
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from support.calling import bearer
from support.issuer import AUDIENCE, ISSUER, Issuer, jwks
from support.processes import ServiceProcess


def test_a_new_token_is_shown_once_and_its_line_is_for_the_file():
    made = CliRunner().invoke(main, ["tokens", "new", "spiffe://example.org/billing"])
    assert made.exit_code == 0
    _, _, token = made.stderr.strip().rpartition(" ")
    assert token not in made.stdout
    assert Tokens.parse(made.stdout).caller(token) == "spiffe://example.org/billing"


@pytest.mark.parametrize("name", ["", " billing", "a\nb", "# billing", "x" * 256])
def test_a_name_that_the_file_could_not_hold_is_refused(name):
    made = CliRunner().invoke(main, ["tokens", "new", name])
    assert made.exit_code == 2
    assert "duoscribe_" not in made.output


@pytest.mark.parametrize(
    ("flag", "content", "said"),
    [
        ("--tokens-file", None, "cannot be read: No such file"),
        ("--tokens-file", "billing: duoscribe_secret", "line 1 is not NAME: HASH"),
    ],
)
def test_a_file_at_fault_keeps_the_gateway_from_starting(tmp_path, flag, content, said):
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    command = [
        sys.executable,
        "-m",
        "gateway",
        "--jwt-issuer",
        ISSUER,
        "--jwt-audience",
        AUDIENCE,
        flag,
        path,
    ]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert str(path) in ended.stderr
    assert said in ended.stderr
    assert "duoscribe_secret" not in ended.stderr


def test_the_log_names_the_caller_and_holds_no_token(tmp_path):
    issuer = Issuer()
    (tmp_path / "jwks.json").write_text(jwks(issuer.jwk()))
    good, expired, unknown = issuer.token("billing"), issuer.token("billing", exp=1), "duoscribe_unknown"
    flags = (
        *("--address", "127.0.0.1:0", "--log-level", "debug", "--log-format", "json"),
        *("--jwks-file", str(tmp_path / "jwks.json"), "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE),
    )
    with ServiceProcess("gateway", flags, tmp_path / "log") as gateway:
        gateway.wait_serving()
        with grpc.insecure_channel(gateway.address) as channel:
            stub = gateway_pb2_grpc.TranscriptionStub(channel)
            for token in (expired, unknown, good):
                # A recording whose config is missing; for the first two that is not even looked at.
                with pytest.raises(grpc.RpcError) as caught:
                    list(
                        stub.Transcribe(
                            iter([gateway_pb2.TranscribeRequest(audio=b"a")]), metadata=bearer(token)
                        )
                    )
                assert token not in str(caught.value)
    log = (tmp_path / "log").read_text()
    failed = [line for line in map(json.loads, log.splitlines()) if line["event"] == "call failed"]
    assert [(line["code"], line.get("caller")) for line in failed] == [
        ("UNAUTHENTICATED", None),
        ("UNAUTHENTICATED", None),
        ("INVALID_ARGUMENT", "billing"),
    ]
    secrets = [part for token in (good, expired) for part in token.split(".")[1:]]
    assert not [secret for secret in (*secrets, unknown) if secret in log]
