"""KServe's inference protocol, version 2, as Triton's clients speak it: `inference.GRPCInferenceService` on the service's own port.

    servicer     the protocol's calls
    requests     what a ModelInfer asks for, and what of it is refused
    tensors      tensors from and to bytes
    inference    recordings through the recogniser
    answers      what was heard, as tensors
    model        what the protocol tells of the model: metadata, configuration, statistics
    refusals     calls that are not served

All of it needs the extra `kserve`: the messages are those of the package tritonclient
(https://github.com/triton-inference-server/common, protobuf/). Every refusal says in its message which part of the request is at
fault, since Triton's client shows its callers nothing else.
"""

from importlib.util import find_spec

NAME = "inference.GRPCInferenceService"

# What the extra brings: the messages, and what importing them needs.
_PACKAGES = ("tritonclient", "packaging")


def is_installed() -> bool:
    """Whether the service can speak it."""
    return all(find_spec(package) for package in _PACKAGES)
