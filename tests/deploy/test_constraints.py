"""The versions that images install: every one fixed, and within what pyproject.toml allows.

That none is missing shows when they are installed: `make images-dry`.
"""

import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
FOLDER = ROOT / "deploy" / "constraints"
ON_GPU = {
    "asr-gpu-cu12.txt": "gpu-cu12",
    "asr-gpu-cu13.txt": "gpu-cu13",
    "diarization-gpu.txt": "diarization",
}


def pins(*files: str) -> dict[str, Version]:
    requirements = [
        Requirement(line)
        for file in files
        for line in (FOLDER / file).read_text().splitlines()
        if line and not line.startswith("#")
    ]
    for requirement in requirements:
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
    return {
        canonicalize_name(each.name): Version(next(iter(each.specifier)).version) for each in requirements
    }


def closure(*names: str) -> set[str]:
    """All that these packages bring here, where they are installed."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        found.add(key[0])
        for text in requires(requirement.name) or ():
            needed = Requirement(text)
            extras = {"", *requirement.extras}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return found


@pytest.mark.parametrize(
    ("extra", "files"),
    [
        *(
            (extra, ("services.txt",))
            for extra in ("asr", "cpu", "diarization", "gateway", "http", "kserve", "models", "riva")
        ),
        *((extra, ("services.txt", file)) for file, extra in ON_GPU.items()),
    ],
)
def test_pins_are_within_what_the_project_allows(extra, files):
    pinned = pins(*files)
    for text in (*PYPROJECT["project"]["dependencies"], *EXTRAS[extra]):
        requirement = Requirement(text)
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_wheel_is_built_with_what_the_project_asks_for():
    pinned = pins("build.txt")
    for text in PYPROJECT["build-system"]["requires"]:
        requirement = Requirement(text)
        assert pinned[requirement.name] in requirement.specifier


@pytest.mark.parametrize("file", ON_GPU)
def test_files_that_are_used_together_do_not_contradict_each_other(file):
    assert not set(pins("services.txt")) & set(pins(file))


def test_the_gateway_brings_neither_torch_nor_an_engine():
    heavy = {"torch", "onnxruntime", "onnxruntime-gpu", "sherpa-onnx", "pyannote-audio"}
    assert not closure("duoscribe[gateway,http,riva]") & heavy
    assert heavy & closure("duoscribe[diarization]")
