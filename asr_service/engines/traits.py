"""What holds for a whole family of models, whatever runs it."""

from dataclasses import dataclass

from asr_service.engines.base import Family


@dataclass(frozen=True)
class Traits:
    preferred_seconds: float
    """The utterance length at which it makes the fewest errors."""
    max_seconds: float
    """The longest utterance that it takes."""


# Whisper: sherpa-onnx drops what comes after 29.5 s. The others were trained on up to about 30 s and take more;
# past 80 s NeMo's attention fails.
TRAITS: dict[Family, Traits] = {
    "whisper": Traits(25, 29),
    "moonshine": Traits(25, 30),
    "sense-voice": Traits(30, 40),
    "paraformer": Traits(30, 40),
    "transducer": Traits(30, 60),
    "zipformer-ctc": Traits(30, 60),
    "nemo-transducer": Traits(30, 60),
    "nemo-ctc": Traits(30, 60),
}
