"""What runs behind the gateway, as GetRivaSpeechRecognitionConfig tells it."""

from typing import TypeAlias

from riva.client.proto.riva_asr_pb2 import RivaSpeechRecognitionConfigResponse

from serving.errors import InvalidConfig
from serving.times import SAMPLE_RATE
from speech.asr.v1 import asr_pb2

_Config: TypeAlias = RivaSpeechRecognitionConfigResponse.Config

# For Recognize and StreamingRecognize. One model serves both; Riva's clients look for one of them.
_TYPES = ("offline", "online")


def configurations(recognition: asr_pb2.DescribeRecognitionResponse) -> list[_Config]:
    """Of the recognition model, one for each of Riva's types."""
    return [
        _Config(
            model_name=name,
            parameters={
                "type": kind,
                "streaming": str(kind == "online"),
                "language_code": ",".join(recognition.languages),
                "sample_rate": str(SAMPLE_RATE),
            },
        )
        for name in _names(recognition)
        for kind in _TYPES
    ]


def check_model(wanted: str, recognition: asr_pb2.DescribeRecognitionResponse, *, field: str) -> None:
    """Raises InvalidConfig, which names `field`, where no such model runs."""
    known = _names(recognition)
    if wanted not in known:
        raise InvalidConfig(
            f"there is no model {wanted[:64]!r} here, only {', '.join(known)}; leave the field empty to get it",
            field=field,
        )


def _names(recognition: asr_pb2.DescribeRecognitionResponse) -> list[str]:
    return [model.name for model in recognition.models if model.role == "recognition"]
