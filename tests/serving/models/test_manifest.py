import re

import pytest

from serving.models.conversion.__main__ import RECIPES
from serving.models.manifest import HubSource, PackageSource, load_manifest, parse_manifest

MANIFEST = load_manifest()
ROLES = {"recognition", "voice-activity", "segmentation", "embedding"}
LICENSES = {"MIT", "Apache-2.0", "CC-BY-4.0"}


def test_the_default_set_has_every_role():
    assert {entry.role for entry in MANIFEST.values() if entry.default} == ROLES


def test_the_default_set_needs_no_hub_and_is_pinned_by_hash():
    files = [file for entry in MANIFEST.values() if entry.default for file in entry.inputs.values()]
    assert all(file.sha256 for file in files)
    assert all(isinstance(source, PackageSource) for file in files for source in file.sources)


@pytest.mark.parametrize("entry", MANIFEST.values(), ids=MANIFEST)
def test_every_entry_is_complete(entry):
    assert entry.role in ROLES
    assert entry.license in LICENSES
    assert entry.origin.startswith("https://")
    assert entry.summary
    assert entry.inputs
    assert entry.recipe is None or entry.recipe in RECIPES
    assert all(re.fullmatch(r"[\w.-]+", name) for name in (entry.name, *entry.outputs, *entry.inputs))
    assert entry.outputs if entry.recipe else set(entry.outputs) == set(entry.inputs)


@pytest.mark.parametrize("entry", MANIFEST.values(), ids=MANIFEST)
def test_every_source_is_pinned(entry):
    for file in entry.inputs.values():
        assert file.sources
        assert file.size > 0
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        for source in file.sources:
            match source:
                case PackageSource(package=package):
                    assert re.fullmatch(r"[\w-]+==[\d.]+", package)
                    assert file.sha256, "nothing else vouches for what a package holds"
                case HubSource(repository=repository, revision=revision):
                    assert re.fullmatch(r"[\w.-]+/[\w.-]+", repository)
                    assert file.sha256 is None or re.fullmatch("[0-9a-f]{40}", revision)


def test_layouts_that_the_services_load():
    assert MANIFEST["whisper-tiny.en"].outputs == ("encoder.int8.onnx", "decoder.int8.onnx", "tokens.txt")
    assert MANIFEST["whisper-tiny.en-fp32"].outputs == ("encoder.onnx", "decoder.onnx", "tokens.txt")
    assert MANIFEST["silero-vad"].outputs == ("silero_vad.onnx",)
    assert MANIFEST["pyannote-segmentation-3.0"].outputs == ("model.safetensors", "config.json")
    assert MANIFEST["wespeaker-resnet34"].outputs == ("model.safetensors", "config.json")


def test_a_model_of_an_unknown_file_is_refused():
    with pytest.raises(KeyError, match=r"nowhere\.onnx"):
        parse_manifest(
            '[models.a]\nrole="r"\nsummary="s"\nlicense="MIT"\norigin="o"\nrevision=1\n'
            'files={"a.onnx"="nowhere.onnx"}\n[files]\n'
        )
