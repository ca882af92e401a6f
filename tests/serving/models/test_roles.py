"""What the services load, in words that the manifest knows."""

import pytest

from serving.models.manifest import load_manifest
from serving.models.roles import EMBEDDING, RECOGNITION, ROLES, VOICE_ACTIVITY, Role

MANIFEST = load_manifest()


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_roles_default_is_pulled_by_default(role: Role) -> None:
    assert MANIFEST[role.default].role == role.name
    assert MANIFEST[role.default].default


def test_the_environment_chooses() -> None:
    environment = {"DUOSCRIBE_ASR_MODEL": "zipformer-en", "DUOSCRIBE_DIARIZATION_EMBEDDING_MODEL": "./mine"}
    assert RECOGNITION.chosen(environment) == "zipformer-en"
    assert EMBEDDING.chosen(environment) == "./mine"
    assert VOICE_ACTIVITY.chosen(environment) == "silero-vad"


def test_an_empty_variable_chooses_nothing() -> None:
    assert RECOGNITION.chosen({"DUOSCRIBE_ASR_MODEL": ""}) == "whisper-tiny.en"
