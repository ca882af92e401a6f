"""The authorities and certificates that deploy/certificates.sh makes, and whether deploy/compose.tls.yaml finds them."""

import shutil
import stat
import subprocess
from pathlib import Path, PurePosixPath

import pytest
import yaml

from gateway.client import CertificateFiles, NotConnected, TranscriptionClient
from support.gateway.fake_gateway import fake_gateway
from tools.dockerfile import DOCKERFILE

FOLDER = DOCKERFILE.parent
SERVICES = yaml.safe_load((FOLDER / "compose.tls.yaml").read_text(encoding="utf-8"))["services"]

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")


def make(folder: Path, *callers: str) -> Path:
    script = ["sh", str(FOLDER / "certificates.sh"), str(folder), *callers]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a certificate for the caller `me`."""
    return make(tmp_path_factory.mktemp("certificates") / "tls", "me")


def found(made: Path, service: str) -> dict[str, Path]:
    """What the service's files are outside the container, by setting."""
    (volume,) = SERVICES[service]["volumes"]
    source, target, _ = volume.split(":")
    prefix = f"DUOSCRIBE_{service.upper()}_"
    return {
        name.removeprefix(prefix): made
        / PurePosixPath(source).relative_to("tls")
        / PurePosixPath(path).relative_to(target)
        for name, path in SERVICES[service]["environment"].items()
    }


def serving_with(made: Path, service: str) -> dict[str, Path]:
    return {name.lower(): path for name, path in found(made, service).items() if name.startswith("TLS_")}


def calling_with(made: Path, name: str) -> CertificateFiles:
    folder = made / name
    return CertificateFiles(certificate=folder / "tls.crt", key=folder / "tls.key", ca=folder / "ca.crt")


async def reaches(address: str, credentials: CertificateFiles, server_name: str = "") -> bool:
    async with TranscriptionClient(address, credentials=credentials, server_name=server_name) as client:
        try:
            return (await client.describe(timeout=20)).HasField("limits")
        except NotConnected:
            return False


@pytest.mark.parametrize("service", SERVICES)
def test_services_find_their_files_and_can_read_them(made: Path, service: str):
    assert made.stat().st_mode & stat.S_IRWXO == made.stat().st_mode & stat.S_IRWXG == 0
    for path in found(made, service).values():
        assert path.stat().st_mode & stat.S_IROTH
        assert path.parent.stat().st_mode & stat.S_IXOTH


async def test_the_gateway_takes_callers_at_this_machine(made: Path):
    async with fake_gateway(**serving_with(made, "gateway")) as (_, address):
        assert await reaches(address, calling_with(made, "me"))
        assert not await reaches(address, calling_with(made, "gateway"))


@pytest.mark.parametrize("backend", ["asr", "diarization"])
async def test_backends_take_the_gateway_and_nobody_else(made: Path, backend: str):
    settings = found(made, "gateway")
    gateway = CertificateFiles(
        certificate=settings["BACKEND_CERTIFICATE"], key=settings["BACKEND_KEY"], ca=settings["BACKEND_CA"]
    )
    async with fake_gateway(**serving_with(made, backend)) as (_, address):
        assert await reaches(address, gateway, server_name=backend)
        for other in ("me", "asr", "diarization"):
            assert not await reaches(address, calling_with(made, other), server_name=backend)


async def test_made_again_certificates_are_new_and_authorities_the_same(tmp_path: Path):
    folder = make(tmp_path / "tls", "me")
    before = {path: path.read_bytes() for path in folder.rglob("*.crt")}
    async with fake_gateway(**serving_with(folder, "gateway")) as (_, address):
        make(folder, "me")
        assert await reaches(address, calling_with(folder, "me"))
    changed = {path.relative_to(folder) for path, content in before.items() if path.read_bytes() != content}
    assert changed == {Path(name, "tls.crt") for name in ("asr", "diarization", "gateway", "me")}
