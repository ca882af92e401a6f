"""What ONNX Runtime, CUDA and TensorRT say when something fails, and what it means for whoever operates the service.

Their errors have one type and no code that tells them apart, so their words have to.
"""

import re
from collections.abc import Sequence

MISSING_LIBRARY = (
    "a library of CUDA, cuDNN or TensorRT is missing or of another version, and ONNX Runtime's own log line above names it; "
    "install the extra gpu-cu12 or gpu-cu13 whole, or set LD_LIBRARY_PATH"
)

_OUT_OF_MEMORY = (
    *("out of memory", "failed to allocate memory", "available memory of", "alloc_failed", "bad_alloc"),
    # TensorRT's only words for it.
    *("could not build execution context", "failed to create context"),
)
_TERMINATED = ("terminate flag",)
# Signs → what to say; the first that fits.
_MEANINGS: tuple[tuple[Sequence[str], str], ...] = (
    (
        _OUT_OF_MEMORY,
        (
            "GPU {device_id} has too little free memory for {name} ({said}); free some of it, choose another GPU with "
            "--device-id, or smaller batches with --profile"
        ),
    ),
    (
        ("could not build engine", "failed to build engine"),
        (
            "TensorRT cannot build an engine of {name} ({said}), and its own log line above says why; where memory is short, free "
            "some, or name smaller batches with --profile"
        ),
    ),
    (
        ("deserialize engine", "ep context", "engine cache"),
        (
            "TensorRT cannot read the engine {name} ({said}); run `duoscribe engines check`, then `duoscribe engines build` for "
            "what it finds broken"
        ),
    ),
    (
        ("cannot open shared object", "failed to load library", "please install"),
        f"ONNX Runtime cannot load {{provider}}: {MISSING_LIBRARY}",
    ),
    (("provider option",), "ONNX Runtime does not take an option ({said}); correct --provider-option"),
    (
        # A profile names inputs of the encoder; TensorRT takes it only where its part begins with those.
        ("provide all the dynamic shape inputs",),
        "TensorRT takes only parts of {name}, which no profile describes; run the model with --provider cuda",
    ),
)
# Characters of a message that are worth repeating.
_SHOWN = 300


def load_failure(name: str, provider: str, device_id: int, words: str) -> str:
    """Why a graph could not be loaded, and who must act, in one line. `provider` is in ONNX Runtime's terms."""
    said = _first_line(words)
    for signs, meaning in _MEANINGS:
        if _has(said, signs):
            return meaning.format(name=name, provider=provider, device_id=device_id, said=said)
    if provider == "CPUExecutionProvider":
        return f"ONNX Runtime cannot load {name} ({said}); fetch the model again"
    return f"{provider} cannot load {name} ({said}); fetch the model again, or choose another --provider"


def is_out_of_memory(words: str) -> bool:
    return _has(words, _OUT_OF_MEMORY)


def is_terminated(words: str) -> bool:
    """Whether a run ended because its options asked for it."""
    return _has(words, _TERMINATED)


def _has(words: str, signs: Sequence[str]) -> bool:
    return any(sign in words.lower() for sign in signs)


def _first_line(words: str) -> str:
    """Without the error's number and name: "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model …"."""
    lines = words.strip().splitlines() or ["it does not say why"]
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", lines[0])[:_SHOWN]
