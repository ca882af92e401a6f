"""What the images promise, read from deploy/Dockerfile: no container engine is needed. `make images-dry` runs its steps."""

import fnmatch
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.settings import is_accepted
from tools.dockerfile import DOCKERFILE, ROOT, read

TEXT = DOCKERFILE.read_text(encoding="utf-8")
IMAGES = read(TEXT)
SERVICES = {
    "gateway": "gateway",
    "asr": "asr",
    "asr-gpu-cu12": "asr",
    "asr-gpu-cu13": "asr",
    "diarization": "diarization",
    "diarization-gpu": "diarization",
}
MODULES = {"gateway": "gateway", "asr": "asr_service", "diarization": "diarization_service"}
BUILD_TOOLS = re.compile(r"\b(apt|apt-get|apk|gcc|g\+\+|clang|cmake|make|build-essential|curl|wget|git)\b")

images = pytest.mark.parametrize("target", IMAGES.targets)
services = pytest.mark.parametrize("target", SERVICES)


def test_the_linter_finds_nothing():
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_there_is_an_image_for_each_service_and_one_that_pulls_models():
    assert set(IMAGES.targets) == {*SERVICES, "models"}


@pytest.mark.parametrize("name", IMAGES.stages)
def test_bases_are_pinned_by_digest(name):
    base = IMAGES.chain(name)[0].parent
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)


@images
def test_images_run_as_a_numbered_user_other_than_root(target):
    user = IMAGES.last(target, "USER")
    assert user is not None
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


@images
def test_images_hold_no_tool_that_builds_or_installs(target):
    commands = [item.value for item in IMAGES.instructions(target) if item.keyword == "RUN"]
    assert commands
    for command in commands:
        assert not BUILD_TOOLS.search(command)
        assert " install " not in command.replace("install --directory", "")
    assert any("pip uninstall --yes pip" in command for command in commands)


@images
def test_an_image_gets_one_environment_and_a_script_and_nothing_of_the_stages_that_build(target):
    copies = [copy for stage in IMAGES.chain(target) for copy in stage.copies]
    assert {(copy.stage, copy.sources) for copy in copies} == {
        (None, ("deploy/healthcheck.py",)),
        (f"{target}-env", ("/opt/duoscribe/env",)),
    }


@images
def test_what_is_installed_is_constrained(target):
    installs = [
        item.value
        for item in IMAGES.instructions(f"{target}-env")
        if item.keyword == "RUN" and "pip install" in item.value
    ]
    assert installs
    for command in installs:
        files = re.findall(r"--constraint (\S+)", command)
        assert "/opt/duoscribe/constraints/services.txt" in files
        for file in files:
            assert (ROOT / "deploy" / file.removeprefix("/opt/duoscribe/")).is_file()


def test_the_gateway_installs_its_own_extras_only():
    installs = [item.value for item in IMAGES.instructions("gateway-env") if "pip install" in item.value]
    assert [re.findall(r"\.whl\)\[([\w,-]+)\]", command) for command in installs] == [["gateway,http,riva"]]


@pytest.mark.parametrize("name", IMAGES.stages)
def test_what_is_copied_is_there_and_passes_the_ignore_file(name):
    for copy in IMAGES.stages[name].copies:
        for source in copy.sources:
            if copy.stage:
                assert copy.stage in IMAGES.stages
            else:
                assert (ROOT / source).exists()
                assert in_context(source)


def in_context(path: str) -> bool:
    """By the rules of an ignore file: the last line that matches the path, or a folder that it lies in, decides."""
    allowed = True
    for line in DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            places = (path, *(str(parent) for parent in Path(path).parents))
            if any(fnmatch.fnmatch(place, pattern) for place in places):
                allowed = line.startswith("!")
    return allowed


def test_generated_and_unrelated_files_stay_out_of_the_context():
    for path in (".git/config", ".venv/bin/python", "tests/deploy", "protos/speech/asr/v1/asr_pb2.py"):
        assert not in_context(path)


@services
def test_an_image_runs_its_service(target):
    command = json.loads(IMAGES.last(target, "ENTRYPOINT"))
    assert command == ["python", "-m", MODULES[SERVICES[target]]]
    assert importlib.util.find_spec(f"{command[2]}.__main__")


def test_the_image_for_models_pulls_the_default_set():
    assert json.loads(IMAGES.last("models", "ENTRYPOINT")) == ["python", "-m", "serving.models"]
    assert json.loads(IMAGES.last("models", "CMD")) == ["pull"]
    assert importlib.util.find_spec("serving.models.__main__")


@services
def test_services_are_told_only_what_they_understand(target):
    told = {
        name: value
        for name, value in IMAGES.environment(target).items()
        if name.startswith("DUOSCRIBE_") and name != "DUOSCRIBE_CACHE"
    }
    assert is_accepted(SERVICES[target], told)


@services
def test_ports_are_those_that_the_service_listens_at(target):
    environment = IMAGES.environment(target)
    prefix = f"DUOSCRIBE_{SERVICES[target].upper()}_"
    hosts, ports = zip(
        *(environment[prefix + name].split(":") for name in ("ADDRESS", "METRICS_ADDRESS")), strict=True
    )
    assert set(hosts) == {"0.0.0.0"}
    assert IMAGES.last(target, "EXPOSE").split() == list(ports)


@services
def test_health_is_asked_for_in_plain_text_within_the_container(target):
    address = IMAGES.environment(target)[f"DUOSCRIBE_{SERVICES[target].upper()}_HEALTH_ADDRESS"]
    assert address.startswith("127.0.0.1:")
    assert f'CMD ["python", "/opt/duoscribe/healthcheck.py", "{address}"]' in IMAGES.last(
        target, "HEALTHCHECK"
    )


@images
def test_whatever_is_written_is_written_to_a_volume(target):
    environment = IMAGES.environment(target)
    folder = environment.get("DUOSCRIBE_GATEWAY_SPOOL_DIRECTORY", environment["DUOSCRIBE_CACHE"])
    assert IMAGES.last(target, "VOLUME") == folder
    (made,) = (stage for stage in IMAGES.chain(target) if stage.name == "base")
    assert f" {folder}" in made.values("RUN")[0]
