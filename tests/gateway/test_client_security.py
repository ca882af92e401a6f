"""How callers prove who they are and check whom they call: certificates and tokens, from Python and from the command line."""

import asyncio
import datetime as dt
import os
import sys

import pytest
from click.testing import CliRunner
from grpc import StatusCode

from gateway.cli import main
from gateway.client import CertificateFiles, NotConnected, TranscriptionClient, token_in
from gateway.connecting import UnusableToken, is_on_this_machine, why_unreachable
from serving.certificates import UnusableCertificate
from support.certificates import Authority
from support.gateway.fake_gateway import fake_gateway

SECRET = "s3cret-token"
UNTRUSTED = (
    "no connection: the gateway's certificate is not signed by an authority that is trusted here; "
    "the CA file says which ones are"
)


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def folders(tmp_path, authority):
    for name in ("gateway", "caller"):
        authority.identity(name).write(tmp_path / name)
    return tmp_path


def serving_with(folder, *, mutual=True):
    files = {"tls_certificate": folder / "tls.crt", "tls_key": folder / "tls.key"}
    return {**files, **({"tls_client_ca": folder / "ca.crt"} if mutual else {})}


def files_in(folder):
    return CertificateFiles(certificate=folder / "tls.crt", key=folder / "tls.key", ca=folder / "ca.crt")


async def described(address, **how):
    async with TranscriptionClient(address, **how) as client:
        return (await client.describe(timeout=20)).asr.family


async def why_not(address, **how):
    with pytest.raises(NotConnected) as caught:
        await described(address, **how)
    assert caught.value.code is StatusCode.UNAVAILABLE
    return caught.value.message


async def test_both_sides_show_certificates(folders):
    async with fake_gateway(**serving_with(folders / "gateway")) as (_, address):
        assert await described(address, credentials=files_in(folders / "caller")) == "whisper"


async def test_a_gateway_of_an_authority_that_is_not_trusted(folders):
    ca = folders / "other.crt"
    ca.write_bytes(Authority().certificate)
    async with fake_gateway(**serving_with(folders / "gateway", mutual=False)) as (_, address):
        for credentials in (CertificateFiles(ca=ca), CertificateFiles()):
            assert await why_not(address, credentials=credentials) == UNTRUSTED


async def test_a_gateway_with_another_name_than_its_address(folders, authority):
    authority.identity("gateway", name="duoscribe.example").write(folders / "gateway")
    credentials = files_in(folders / "caller")
    async with fake_gateway(**serving_with(folders / "gateway")) as (_, address):
        assert "is for another name" in await why_not(address, credentials=credentials)
        assert await described(address, credentials=credentials, server_name="duoscribe.example") == "whisper"


async def test_a_gateway_whose_certificate_has_expired(folders, authority):
    authority.identity("gateway", ends_in=dt.timedelta(minutes=-1)).write(folders / "gateway")
    async with fake_gateway(**serving_with(folders / "gateway")) as (_, address):
        assert "has expired; its operator" in await why_not(address, credentials=files_in(folders / "caller"))


async def test_a_gateway_that_wants_a_certificate(folders):
    credentials = CertificateFiles(ca=folders / "caller" / "ca.crt")
    async with fake_gateway(**serving_with(folders / "gateway")) as (_, address):
        assert "hung up; it may want a certificate" in await why_not(address, credentials=credentials)


async def test_a_gateway_that_wants_tls(folders):
    async with fake_gateway(**serving_with(folders / "gateway")) as (_, address):
        assert "hung up; it may want TLS" in await why_not(address)


async def test_a_gateway_that_does_not_speak_tls(folders):
    async with fake_gateway() as (_, address):
        reason = await why_not(address, credentials=files_in(folders / "caller"))
    assert "does not speak TLS" in reason


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (StatusCode.UNAVAILABLE, "all replicas are draining"),
        (StatusCode.UNAVAILABLE, "Socket closed"),
        (StatusCode.INVALID_ARGUMENT, "last error: Socket closed"),
    ],
)
def test_what_a_gateway_says_is_not_taken_for_a_connection_that_failed(code, details):
    assert why_unreachable(code, details, encrypted=True) is None


async def test_a_socket_is_spoken_to_in_plain_text(folders):
    serving = serving_with(folders / "gateway")
    async with fake_gateway(address=f"unix:{folders}/gateway.sock", **serving) as (_, address):
        assert await described(address, credentials=files_in(folders / "caller")) == "whisper"


async def test_a_client_that_lives_on_takes_up_renewed_certificates(folders):
    renewed = Authority()
    async with (
        fake_gateway(**serving_with(folders / "gateway")) as (_, address),
        TranscriptionClient(address, credentials=files_in(folders / "caller")) as client,
    ):
        await client.describe(timeout=20)
        renewed.identity("caller").write(folders / "caller")
        renewed.identity("gateway").write(folders / "gateway")
        await client.describe(timeout=20)
        assert await described(address, credentials=files_in(folders / "caller")) == "whisper"


async def test_files_that_cannot_be_used_are_named(folders):
    (folders / "caller" / "tls.key").write_text("")
    with pytest.raises(UnusableCertificate, match="holds no private key"):
        await described("127.0.0.1:1", credentials=files_in(folders / "caller"))
    with pytest.raises(ValueError, match="a certificate and its key need each other"):
        CertificateFiles(certificate=folders / "caller" / "tls.crt")


async def test_a_token_is_read_before_each_call(folders):
    path = folders / "token"
    async with (
        fake_gateway(**serving_with(folders / "gateway")) as (gateway, address),
        TranscriptionClient(
            address, credentials=files_in(folders / "caller"), token=token_in(path)
        ) as client,
    ):
        for token in ("first", "second"):
            path.write_text(f"{token}\n")
            await client.describe(timeout=20)
        path.write_text("two words")
        with pytest.raises(UnusableToken, match="holds no token"):
            await client.describe(timeout=20)
    assert gateway.authorizations == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff\xfe", b"tab\there", b"null\0"])
def test_what_is_no_token_is_not_sent_and_not_shown(tmp_path, content):
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(UnusableToken) as caught:
        token_in(path)()
    assert str(caught.value) == f"{path} holds no token, which is one word of ASCII"


async def test_a_token_does_not_leave_this_machine_in_plain_text_unless_that_is_allowed():
    for address in ("gateway.example:443", "10.0.0.7:50050"):
        with pytest.raises(ValueError, match="over TLS only") as refused:
            TranscriptionClient(address, token=SECRET)
        assert SECRET not in str(refused.value)
        await TranscriptionClient(address, token=SECRET, plaintext_token=True).close()


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1:50050", True),
        ("127.9.9.9:50050", True),
        ("[::1]:50050", True),
        ("localhost:50050", True),
        ("dns:///localhost:50050", True),
        ("ipv4:127.0.0.1:50050", True),
        ("ipv6:[::1]:50050", True),
        ("unix:/run/gateway.sock", True),
        ("0.0.0.0:50050", False),
        ("10.0.0.7:50050", False),
        ("localhost.example:50050", False),
        ("dns://10.0.0.7/localhost:50050", False),
        ("ipv4:127.0.0.1:50050,10.0.0.7:50050", False),
        ("xds:///localhost:50050", False),
    ],
)
def test_which_addresses_are_on_this_machine(address, here):
    assert is_on_this_machine(address) == here


async def run(*arguments, **environment):
    """Exit code, standard output and standard error of the command line."""
    # Whoever has set this means other authorities than the system's.
    ours = {name: value for name, value in os.environ.items() if name != "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", *map(str, arguments)),
        env={**ours, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


def identity_flags(folder):
    return ("--ca", folder / "ca.crt", "--certificate", folder / "tls.crt", "--key", folder / "tls.key")


async def test_the_command_line_shows_a_certificate_and_sends_a_token(folders):
    (folders / "token").write_text(SECRET)
    async with fake_gateway(**serving_with(folders / "gateway")) as (gateway, address):
        flags = (*identity_flags(folders / "caller"), "--token-file", folders / "token")
        code, out, err = await run("describe", "--server", address, *flags)
        assert (code, err) == (0, "")
        assert "whisper" in out
        code, _, err = await run(
            "transcribe",
            "--server",
            address,
            *identity_flags(folders / "caller"),
            __file__,
            DUOSCRIBE_TOKEN=SECRET,
        )
        assert (code, err) == (0, "")
    assert gateway.authorizations == [f"Bearer {SECRET}"] * 2


async def test_the_command_line_trusts_the_systems_authorities_where_it_is_told_of_no_others(folders):
    async with fake_gateway(**serving_with(folders / "gateway", mutual=False)) as (_, address):
        system = {"SSL_CERT_FILE": str(folders / "caller" / "ca.crt")}
        code, out, err = await run("describe", "--server", address, "--tls", **system)
    assert (code, err) == (0, "")
    assert "whisper" in out


async def test_the_command_line_says_in_one_line_why_there_is_no_connection(folders):
    (folders / "caller" / "ca.crt").write_bytes(Authority().certificate)
    async with fake_gateway(**serving_with(folders / "gateway")) as (_, address):
        ended = await run("describe", "--server", address, DUOSCRIBE_CA=str(folders / "caller" / "ca.crt"))
    assert ended == (
        1,
        "",
        f"duoscribe: {address}: {UNTRUSTED}.\n",
    )


async def test_the_command_line_sends_no_token_in_plain_text_to_another_machine():
    code, out, err = await run("describe", "--server", "gateway.example:443", DUOSCRIBE_TOKEN=SECRET)
    assert (code, out) == (2, "")
    assert "over TLS only" in err
    assert SECRET not in err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--ca", __file__), "--ca is for a gateway elsewhere: name it with --server"),
        (("--tls",), "--tls is for a gateway elsewhere"),
        (("--server", "x:1", "--key", "/nowhere"), "'/nowhere' does not exist"),
    ],
)
def test_wrong_usage(flags, words):
    ended = CliRunner().invoke(main, ("transcribe", *flags, "call.wav"), env={"DUOSCRIBE_SERVER": ""})
    assert ended.exit_code == 2
    assert words in " ".join(ended.stderr.split())
