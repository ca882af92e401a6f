"""What a ModelInfer asks for. What the service cannot do is refused, and nothing is passed over."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from asr_service.kserve.answers import DEFAULT_OUTPUTS, OUTPUTS
from asr_service.kserve.tensors import Array, check_no_parameters, read_inputs
from asr_service.tensor_names import AUDIO, LENGTHS
from asr_service.utterances import Pcm
from serving.decoding.length import check_length
from serving.decoding.limits import MAX_RATE_HZ, MIN_RATE_HZ
from serving.decoding.samples import MAX_BLOCK_SAMPLES
from serving.errors import InvalidAudio, InvalidConfig, InvalidRequest
from serving.times import SAMPLE_RATE

# The inputs, and what their elements may be; what is told first is what clients are told to send.
INPUTS = {AUDIO: ("FP32", "FP64"), LENGTHS: ("INT64", "INT32")}

MOST_ROWS = 128
"""Recordings in one request."""

# What scaled samples never reach, and 16-bit numbers sent as floats nearly always do.
_LOUDEST = 2.0

_FULL_SCALE = 32_768

# Triton's client asks with it for what there is here anyway: each request of a stream has one answer, and that is final.
_FINAL_RESPONSE = "triton_enable_empty_final_response"

_KINDS = {"language": ("string_param",), "sample_rate": ("int64_param", "uint64_param")}
_REASONS = {
    "sequence_id": "requests do not build on each other",
    "sequence_start": "requests do not build on each other",
    "sequence_end": "requests do not build on each other",
    "priority": "all callers take turns",
    "timeout": "give the call a deadline in its place (client_timeout)",
}


@dataclass(frozen=True)
class Parameters:
    language: str = ""
    """A BCP-47 tag."""
    sample_rate: int = SAMPLE_RATE
    """Of the audio, in Hz."""


@dataclass(frozen=True)
class Asked:
    recordings: tuple[Pcm, ...]
    """Mono, each of shape (samples,)."""
    is_batch: bool
    """Whether the audio came with a dimension for recordings, and answers have one, too."""
    parameters: Parameters
    outputs: tuple[str, ...]


def read_request(
    request: service_pb2.ModelInferRequest, *, max_seconds: float, streamed: bool = False
) -> Asked:
    """Takes time that grows with the audio. Raises InvalidRequest, and RecordingTooLong."""
    parameters = _parameters(request, streamed=streamed)
    outputs = _outputs(request)
    tensors = read_inputs(request, INPUTS)
    audio = _audio(tensors)
    lengths = _lengths(tensors, audio)
    check_length(max(lengths) / parameters.sample_rate, max_seconds, field=f"inputs.{AUDIO}")
    rows = np.atleast_2d(audio)
    recordings = tuple(_to_pcm(row[:length]) for row, length in zip(rows, lengths, strict=True))
    return Asked(recordings, audio.ndim > 1, parameters, outputs)


def _parameters(request: service_pb2.ModelInferRequest, *, streamed: bool) -> Parameters:
    passed_over = {_FINAL_RESPONSE} if streamed else set()
    given = {
        name: _parameter(name, parameter)
        for name, parameter in request.parameters.items()
        if name not in passed_over
    }
    parameters = Parameters(**given)
    if not MIN_RATE_HZ <= parameters.sample_rate <= MAX_RATE_HZ:
        raise InvalidConfig(
            f"parameters.sample_rate is {parameters.sample_rate}; give the real one, {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz",
            field="parameters.sample_rate",
        )
    return parameters


def _parameter(name: str, parameter: service_pb2.InferParameter) -> Any:
    field = f"parameters.{name[:64]}"
    if name not in _KINDS:
        reason = _REASONS.get(name, f"the parameters are {', '.join(_KINDS)}")
        raise InvalidRequest(f"{field} is not supported: {reason}", field=field)
    kind = parameter.WhichOneof("parameter_choice")
    if kind not in _KINDS[name]:
        raise InvalidRequest(f"{field} is sent as {' or '.join(_KINDS[name])}", field=field)
    return getattr(parameter, kind)


def _outputs(request: service_pb2.ModelInferRequest) -> tuple[str, ...]:
    for output in request.outputs:
        if output.name not in OUTPUTS:
            raise InvalidRequest(
                f"there is no output {output.name[:64]!r}; the outputs are {', '.join(OUTPUTS)}",
                field="outputs",
            )
        check_no_parameters(output.parameters, f"outputs.{output.name}")
    return tuple(dict.fromkeys(output.name for output in request.outputs)) or DEFAULT_OUTPUTS


def _audio(tensors: dict[str, Array]) -> Array:
    """Of shape (samples,) or (recordings, samples)."""
    if AUDIO not in tensors:
        raise InvalidRequest(f"the input {AUDIO} is missing", field="inputs")
    audio = tensors[AUDIO]
    if audio.ndim > 2 or (audio.ndim == 2 and len(audio) > MOST_ROWS):
        raise InvalidRequest(
            f"inputs.{AUDIO}.shape is {list(audio.shape)}; send [samples], or [recordings, samples] with at most "
            f"{MOST_ROWS} recordings",
            field=f"inputs.{AUDIO}.shape",
        )
    return audio


def _lengths(tensors: dict[str, Array], audio: Array) -> list[int]:
    """Samples of each recording; all of them where nothing else is said."""
    rows, longest = np.atleast_2d(audio).shape
    if LENGTHS not in tensors:
        return [longest] * rows
    lengths = tensors[LENGTHS]
    if lengths.shape not in {(rows,), (rows, 1)}:
        raise InvalidRequest(
            f"inputs.{LENGTHS}.shape is {list(lengths.shape)}; there is one length for each recording, so send "
            f"[{rows}] or [{rows}, 1]",
            field=f"inputs.{LENGTHS}.shape",
        )
    if lengths.min() < 1 or lengths.max() > longest:
        raise InvalidRequest(
            f"inputs.{LENGTHS} has {lengths.min()} to {lengths.max()} samples; a length is 1 to {longest}, as many as "
            f"{AUDIO} has of each recording",
            field=f"inputs.{LENGTHS}",
        )
    return [int(length) for length in lengths.flat]


def _to_pcm(samples: Array) -> Pcm:
    """To the nearest of 16 bits, so that who sends 16-bit samples as floats gets the answer for just these."""
    loudest = max(float(samples.max()), -float(samples.min()))
    if not loudest <= _LOUDEST:
        raise InvalidAudio(
            f"inputs.{AUDIO} has samples of {loudest:g}; they are floats between -1 and 1, 16-bit samples divided by 32768",
            field=f"inputs.{AUDIO}",
        )
    pcm: Pcm = np.empty(len(samples), np.int16)
    # By blocks, since whole recordings would be in memory three times over.
    for start in range(0, len(samples), MAX_BLOCK_SAMPLES):
        block = samples[start : start + MAX_BLOCK_SAMPLES]
        scaled = np.rint(block * block.dtype.type(_FULL_SCALE))
        pcm[start : start + len(block)] = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1)
    return pcm
