"""Which models the services load: one a role, its default unless the role's environment variable names another.

Here, and not with the service that loads it, so that the command line can pull what is missing before it starts them.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """`name` is ModelInfo's role and the manifest's; `default` a name in the manifest; no `variable`, no choice."""

    name: str
    default: str
    variable: str | None = None

    def chosen(self, environment: Mapping[str, str]) -> str:
        """A name in the manifest, or the path of a folder."""
        return (environment.get(self.variable) if self.variable else None) or self.default


RECOGNITION = Role("recognition", "whisper-tiny.en", "DUOSCRIBE_ASR_MODEL")
VOICE_ACTIVITY = Role("voice-activity", "silero-vad")
SEGMENTATION = Role("segmentation", "pyannote-segmentation-3.0", "DUOSCRIBE_DIARIZATION_SEGMENTATION_MODEL")
EMBEDDING = Role("embedding", "wespeaker-resnet34", "DUOSCRIBE_DIARIZATION_EMBEDDING_MODEL")

ROLES = (RECOGNITION, VOICE_ACTIVITY, SEGMENTATION, EMBEDDING)
