"""deploy/compose.yaml and its overlay for GPUs, read as Compose reads them, against the images and the services."""

import json
import re
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose

from support.settings import is_accepted, variables
from tools.dockerfile import DOCKERFILE, read

FOLDER = DOCKERFILE.parent
FILES = ("compose.yaml", "compose.gpu.yaml", "compose.tls.yaml")
IMAGES = read(DOCKERFILE.read_text(encoding="utf-8"))
OURS = ("gateway", "asr", "diarization")
PREFIX = "DUOSCRIBE_"


def loaded(file):
    return yaml.safe_load((FOLDER / file).read_text(encoding="utf-8"))


COMPOSE = loaded("compose.yaml")
SERVICES = COMPOSE["services"]
each_file = pytest.mark.parametrize("file", FILES)
each_service = pytest.mark.parametrize("name", SERVICES)
each_of_ours = pytest.mark.parametrize("name", OURS)


@each_file
def test_compose_understands_every_key(file):
    assert PyCompose.from_json(json.dumps(loaded(file))).service_names()


def test_a_key_that_compose_does_not_know_is_found():
    wrong = {**COMPOSE, "services": {"asr": {**SERVICES["asr"], "prots": []}}}
    with pytest.raises(ValueError, match="prots"):
        PyCompose.from_json(json.dumps(wrong))


@each_file
def test_what_is_built_is_a_target_of_the_dockerfile(file):
    for name, service in loaded(file)["services"].items():
        if build := service.get("build"):
            assert build["target"] in IMAGES.targets
            assert service["image"] == f"duoscribe-{build['target']}"
            assert build["target"].split("-")[0] == name
            assert (
                FOLDER / build.get("context", "..") / build.get("dockerfile", "deploy/Dockerfile")
            ).samefile(DOCKERFILE)


@each_file
@each_of_ours
def test_services_are_told_only_what_they_understand(file, name):
    told = loaded(file)["services"].get(name, {}).get("environment", {})
    assert is_accepted(name, told)


def test_the_gateway_finds_the_others_where_they_listen():
    for name in ("asr", "diarization"):
        port = IMAGES.environment(name)[f"{PREFIX}{name.upper()}_ADDRESS"].split(":")[1]
        assert SERVICES["gateway"]["environment"][f"{PREFIX}GATEWAY_{name.upper()}"] == f"{name}:{port}"


@each_service
def test_ports_are_published_to_this_machine_only(name):
    for port in SERVICES[name].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


@each_service
def test_images_of_others_are_pinned(name):
    if "build" not in SERVICES[name]:
        assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


@each_service
def test_containers_get_no_capabilities_and_no_way_to_more(name):
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", [*OURS, "models"])
def test_our_containers_write_to_volumes_only(name):
    assert SERVICES[name]["read_only"]
    assert SERVICES[name]["tmpfs"] == [IMAGES.environment(name)["HOME"]]
    mounted = [volume.split(":")[1] for volume in SERVICES[name]["volumes"]]
    assert mounted == [IMAGES.last(name, "VOLUME")]


def test_only_what_pulls_models_may_change_them():
    read_only = {
        name: SERVICES[name]["volumes"][0].endswith(":ro") for name in ("models", "asr", "diarization")
    }
    assert read_only == {"models": False, "asr": True, "diarization": True}


@each_service
def test_what_is_mounted_exists(name):
    for volume in SERVICES[name].get("volumes", ()):
        source = volume.split(":")[0]
        assert (FOLDER / source).is_dir() if source.startswith(".") else source in COMPOSE["volumes"]


@each_service
def test_what_is_waited_for_can_come(name):
    awaited = SERVICES[name].get("depends_on", {})
    for other, condition in awaited.items() if isinstance(awaited, dict) else ():
        healthcheck = IMAGES.last(SERVICES[other]["build"]["target"], "HEALTHCHECK")
        ends = condition["condition"] == "service_completed_successfully"
        assert (healthcheck == "NONE") == ends
        assert "restart" not in SERVICES[other] or not ends
    assert set(awaited) <= set(SERVICES)


@each_of_ours
def test_a_drain_is_given_its_time(name):
    seconds = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert seconds > variables(name)[f"{PREFIX}{name.upper()}_DRAIN_SECONDS"]


def test_the_gpu_overlay_changes_services_that_there_are():
    overlay = loaded("compose.gpu.yaml")["services"]
    assert set(overlay) <= set(SERVICES)
    for service in overlay.values():
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]


def test_dashboards_and_their_provider_meet():
    provider = yaml.safe_load((FOLDER / "grafana/dashboards/duoscribe.yaml").read_text())["providers"][0]
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounts["./dashboards"] == provider["options"]["path"]
    assert mounts["./grafana"] == "/etc/grafana/provisioning"
    assert {path.name for path in Path(FOLDER, "grafana").iterdir()} == {"dashboards", "datasources"}
