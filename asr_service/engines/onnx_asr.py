"""What comes with a NeMo model as istupakov/onnx-asr publishes it: config.json, instead of the ONNX files' metadata."""

import json
from collections.abc import Mapping
from pathlib import Path

from asr_service.engines.base import Family
from serving.errors import ModelUnavailable

CONFIG, VOCABULARY = "config.json", "vocab.txt"

_FAMILIES: dict[str, Family] = {
    "nemo-conformer-ctc": "nemo-ctc",
    "nemo-conformer-rnnt": "nemo-transducer",
    "nemo-conformer-tdt": "nemo-transducer",
}


def read_config(directory: Path) -> dict[str, object]:
    """Raises ModelUnavailable where config.json is missing or holds no object."""
    path = directory / CONFIG
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelUnavailable(f"{path} is missing; fetch the model again") from None
    except (ValueError, OSError) as error:
        raise ModelUnavailable(f"{path} is not readable JSON ({error}); fetch the model again") from error
    if not isinstance(config, dict):
        raise ModelUnavailable(f"{path} must hold a JSON object; fetch the model again")
    return config


def family_of(config: Mapping[str, object], directory: Path) -> Family:
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in _FAMILIES:
        return _FAMILIES[model_type]
    raise ModelUnavailable(
        f"{directory / CONFIG}: model_type is {str(model_type)[:40]!r}, expected one of {', '.join(_FAMILIES)}; "
        "name another directory"
    )
