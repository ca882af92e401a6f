"""What cannot be done is refused with what is at fault in the message, as Triton's client shows nothing else."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from google.rpc import code_pb2, error_details_pb2
from tritonclient.grpc import InferInput, InferRequestedOutput, service_pb2, service_pb2_grpc

from support.fake_service import status_of
from support.kserve import KServeDoor, floats, kserve_door, refusal, tensor
from support.recognition import asr_config, speech

pytestmark = pytest.mark.asyncio(loop_scope="module")

TALK = floats(speech((0.5, 2.0)))
PAIR = np.stack((TALK, TALK))
AUDIO = tensor("audio_signal", TALK)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kserve() -> AsyncIterator[KServeDoor]:
    async with kserve_door() as opened:
        yield opened


def in_shared_memory(name: str, wanted: Any) -> Any:
    wanted.set_shared_memory("region", 1024)
    return wanted


def lengths(*values: int, shape: tuple[int, ...] | None = None) -> InferInput:
    return tensor("audio_lengths", np.array(values, np.int64).reshape(shape or (len(values),)))


@dataclass(frozen=True)
class Bad:
    """A request, and the words that its refusal has to have."""

    inputs: Any = None
    words: tuple[str, ...] = ()
    request: dict[str, Any] | None = None


REQUESTS = {
    "unknown input": Bad([AUDIO, tensor("WAV", TALK)], ("'WAV'", "audio_signal, audio_lengths")),
    "no audio": Bad([lengths(1)], ("audio_signal is missing",)),
    "audio twice": Bad([AUDIO, AUDIO], ("audio_signal", "twice")),
    "integers": Bad(
        [tensor("audio_signal", np.zeros(9, np.int16))], ("audio_signal.datatype", "FP32 or FP64")
    ),
    "three dimensions": Bad([tensor("audio_signal", PAIR[None])], ("audio_signal.shape", "[1, 2, 40000]")),
    "no samples": Bad([tensor("audio_signal", np.zeros(0, np.float32))], ("audio_signal.shape", "[0]")),
    "too many rows": Bad([tensor("audio_signal", np.zeros((129, 9), np.float32))], ("shape", "128")),
    "not scaled": Bad([tensor("audio_signal", TALK * 32768)], ("audio_signal", "between -1 and 1")),
    "not a number": Bad([tensor("audio_signal", np.full(9, np.nan, np.float32))], ("audio_signal", "nan")),
    "too few lengths": Bad(
        [tensor("audio_signal", PAIR), lengths(5)], ("audio_lengths.shape", "[2] or [2, 1]")
    ),
    "a length beyond the tensor": Bad([AUDIO, lengths(40_001)], ("audio_lengths", "1 to 40000")),
    "no length": Bad([AUDIO, lengths(0)], ("audio_lengths", "1 to 40000")),
    "input in shared memory": Bad(
        [in_shared_memory("audio_signal", InferInput("audio_signal", [9], "FP32"))],
        ("inputs.audio_signal.parameters.shared_memory_byte_size",),
    ),
    "output in shared memory": Bad(
        [AUDIO],
        ("outputs.decoded_texts.parameters.shared_memory_byte_size",),
        {"outputs": [in_shared_memory("decoded_texts", InferRequestedOutput("decoded_texts"))]},
    ),
    "classification": Bad(
        [AUDIO],
        ("outputs.words.parameters.classification",),
        {"outputs": [InferRequestedOutput("words", class_count=3)]},
    ),
    "unknown output": Bad(
        [AUDIO], ("'transcript'", "decoded_texts, words"), {"outputs": [InferRequestedOutput("transcript")]}
    ),
    "sequence": Bad([AUDIO], ("parameters.sequence_", "build on each other"), {"sequence_id": 7}),
    "priority": Bad([AUDIO], ("parameters.priority",), {"priority": 1}),
    "timeout": Bad([AUDIO], ("parameters.timeout", "client_timeout"), {"timeout": 1000}),
    "unknown parameter": Bad(
        [AUDIO], ("parameters.beam", "language, sample_rate"), {"parameters": {"beam": 4}}
    ),
    "language of another kind": Bad(
        [AUDIO], ("parameters.language", "string_param"), {"parameters": {"language": 1}}
    ),
    "unknown language": Bad([AUDIO], ("'tlh'", "en, de"), {"parameters": {"language": "tlh"}}),
    "sample rate": Bad([AUDIO], ("parameters.sample_rate is 10",), {"parameters": {"sample_rate": 10}}),
    "id": Bad([AUDIO], ("id must be",), {"request_id": "two\nlines"}),
}


@pytest.mark.parametrize("bad", REQUESTS.values(), ids=REQUESTS.keys())
async def test_a_request_that_cannot_be_served(kserve: KServeDoor, bad: Bad) -> None:
    code, message = await refusal(kserve.client.infer("fake", bad.inputs, **(bad.request or {})))
    assert code == "INVALID_ARGUMENT"
    for words in bad.words:
        assert words in message


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"model_name": "ensemble"}, "model is called fake"), ({"model_version": "2"}, "model_version is '2'")],
)
async def test_a_model_that_is_not_there(kserve: KServeDoor, asked: dict[str, str], words: str) -> None:
    code, message = await refusal(kserve.infer(TALK, **asked))
    assert code == "NOT_FOUND"
    assert words in message


async def test_a_recording_over_the_length_limit() -> None:
    async with kserve_door(config=asr_config(max_audio_seconds=2.0)) as kserve:
        code, message = await refusal(kserve.infer(TALK))
        short = tensor("audio_signal", PAIR), lengths(32_000, 1)
        assert len(await kserve.texts(list(short))) == 2
    assert code == "OUT_OF_RANGE"
    assert "2 s" in message


@pytest.mark.parametrize(("samples", "code"), [(20_000, "INVALID_ARGUMENT"), (80_000, "RESOURCE_EXHAUSTED")])
async def test_a_message_over_its_limit(samples: int, code: str) -> None:
    """The second one is larger than anything that a caller may send, so that the transport stops it."""
    config = asr_config(max_message_bytes=32 * 1024, max_recording_message_bytes=64 * 1024)
    async with kserve_door(config=config) as kserve:
        assert (await refusal(kserve.infer(np.zeros(samples, np.float32))))[0] == code
        assert await kserve.texts(np.zeros(16_000, np.float32)) == [""]


def raw(request: service_pb2.ModelInferRequest) -> None:
    request.raw_input_contents.append(bytes(4))


def twice(request: service_pb2.ModelInferRequest) -> None:
    request.raw_input_contents.extend((bytes(4), bytes(4)))


def both(request: service_pb2.ModelInferRequest) -> None:
    raw(request)
    request.inputs[0].contents.fp32_contents.append(0.5)


def doubles(request: service_pb2.ModelInferRequest) -> None:
    request.inputs[0].contents.fp64_contents.extend((0.5, 0.5))


def nothing(request: service_pb2.ModelInferRequest) -> None: ...


@pytest.mark.parametrize(
    ("fill", "field"),
    [
        (raw, "inputs.audio_signal.shape"),
        (nothing, "inputs.audio_signal.shape"),
        (twice, "raw_input_contents"),
        (both, "inputs.audio_signal.contents"),
        (doubles, "inputs.audio_signal.contents.fp64_contents"),
    ],
)
async def test_contents_that_do_not_fit_their_tensor(
    kserve: KServeDoor, fill: Callable[[service_pb2.ModelInferRequest], None], field: str
) -> None:
    """Which Triton's client never sends; others read the details."""
    request = service_pb2.ModelInferRequest(model_name="fake")
    request.inputs.add(name="audio_signal", datatype="FP32", shape=[2])
    fill(request)
    status = await status_of(
        service_pb2_grpc.GRPCInferenceServiceStub(kserve.door.channel).ModelInfer(request)
    )
    details = error_details_pb2.BadRequest()
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert status.details[0].Unpack(details)
    assert details.field_violations[0].field == field
    assert field in status.message


CALLS = {
    "load": (lambda client: client.load_model("fake"), "--model"),
    "unload": (lambda client: client.unload_model("fake"), "--model"),
    "system memory": (lambda client: client.register_system_shared_memory("a", "/a", 9), "memory shared"),
    "CUDA memory": (lambda client: client.get_cuda_shared_memory_status(), "memory shared"),
    "traces": (lambda client: client.get_trace_settings(), "--traces-endpoint"),
    "logs": (lambda client: client.update_log_settings({}), "--log-level"),
}


@pytest.mark.parametrize(("call", "words"), CALLS.values(), ids=CALLS.keys())
async def test_a_call_that_is_not_served(kserve: KServeDoor, call: Callable[[Any], Any], words: str) -> None:
    code, message = await refusal(call(kserve.client))
    assert code == "UNIMPLEMENTED"
    assert words in message


async def test_a_repository_of_another_name(kserve: KServeDoor) -> None:
    stub = service_pb2_grpc.GRPCInferenceServiceStub(kserve.door.channel)
    status = await status_of(
        stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(repository_name="s3://x"))
    )
    assert (status.code, "repository_name" in status.message) == (code_pb2.INVALID_ARGUMENT, True)
