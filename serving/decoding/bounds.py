"""What decoding one recording may take."""

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # decoders do without what it imports
    from serving.config import ServerConfig


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """As `ServerConfig` describes them; see there for what each of them is for."""

    max_audio_seconds: float
    max_upload_bytes: int
    max_probe_bytes: int
    max_decompression_ratio: float
    decoder_memory_bytes: int
    decoder_cpu_seconds: float
    decoder_cpu_ratio: float
    decoder_stall_seconds: float

    @classmethod
    def of(cls, config: "ServerConfig") -> "Bounds":
        return cls(**{field.name: getattr(config, field.name) for field in dataclasses.fields(cls)})

    @classmethod
    def from_json(cls, text: str | bytes) -> "Bounds":
        return cls(**json.loads(text))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    def cpu_seconds(self, audio_seconds: float) -> float:
        """CPU time granted for so much sound."""
        return self.decoder_cpu_seconds + self.decoder_cpu_ratio * audio_seconds
