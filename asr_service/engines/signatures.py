"""How many inputs and outputs each file of a model has, by which a file in another's place is found out.

sherpa-onnx passes tensors by position and does not count them: the wrong file ends the process or reads past the end of
its tensors. The numbers are those of its model classes' Run calls.
"""

from asr_service.engines.base import Family
from asr_service.engines.layout import ModelLayout
from serving.errors import ModelUnavailable

_SIGNATURES: dict[Family, dict[str, tuple[int, int]]] = {
    # By role: the least number of inputs (old exports count weights among them) and of outputs.
    "transducer": {"encoder": (2, 2), "decoder": (1, 1), "joiner": (2, 1)},
    "nemo-transducer": {"encoder": (2, 2), "decoder": (4, 4), "joiner": (2, 1)},
    "nemo-ctc": {"model": (2, 1)},
    "zipformer-ctc": {"model": (2, 2)},
    "whisper": {"encoder": (1, 2), "decoder": (6, 3)},
    "moonshine": {
        "preprocess": (1, 1),
        "encoder": (2, 1),
        "uncached_decoder": (3, 2),
        "cached_decoder": (4, 2),
    },
    "sense-voice": {"model": (4, 1)},
    "paraformer": {"model": (2, 2)},
}


def check_signatures(layout: ModelLayout) -> None:
    """Raises ModelUnavailable where a file cannot be what its name says. Files in ORT format are not looked into."""
    for role, header in layout.headers.items():
        inputs, outputs = _SIGNATURES[layout.family][role]
        if len(header.inputs) < inputs or len(header.outputs) < outputs:
            raise ModelUnavailable(
                f"{layout.files[role]} is no {role} of a {layout.family} model: it takes {', '.join(header.inputs)} "
                f"and gives {', '.join(header.outputs)}; fetch the model again"
            )
