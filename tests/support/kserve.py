"""What tests say to the recognition service through Triton's own client, unmodified."""

import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tritonclient import grpc as blocking
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult, aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from asr_service.config import AsrConfig
from asr_service.engines.base import Engine
from support.recognition import INFO, AsrDoor, FakeEngine, asr_door

WORDS = ("words", "word_start_times", "word_end_times", "word_confidences")

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class KServeDoor:
    """The service with a fake engine, and Triton's client for asyncio."""

    door: AsrDoor
    client: aio.InferenceServerClient

    async def infer(self, audio: Any, *, outputs: tuple[str, ...] = (), **request: Any) -> InferResult:
        """`audio` is an array, or inputs."""
        inputs = [tensor("audio_signal", audio)] if isinstance(audio, np.ndarray) else audio
        wanted = [InferRequestedOutput(name) for name in outputs] or None
        return await self.client.infer(request.pop("model_name", "fake"), inputs, outputs=wanted, **request)

    async def texts(self, audio: Any, **request: Any) -> list[str]:
        return texts(await self.infer(audio, **request))


@asynccontextmanager
async def kserve_door(
    engine: Engine | None = None, config: AsrConfig | None = None, **others: Any
) -> AsyncIterator[KServeDoor]:
    async with (
        asr_door(engine, config, **others) as door,
        aio.InferenceServerClient(door.server.address) as client,
    ):
        yield KServeDoor(door, client)


@contextmanager
def blocking_client(address: str) -> Iterator[blocking.InferenceServerClient]:
    """For threads other than the event loop's."""
    with blocking.InferenceServerClient(address) as client:
        yield client


def held(**changes: Any) -> tuple[FakeEngine, threading.Event]:
    """An engine that answers once the event is set."""
    gate = threading.Event()
    return FakeEngine(info=replace(INFO, **changes), gate=gate), gate


def tensor(name: str, array: npt.NDArray[Any]) -> InferInput:
    """Its elements as raw bytes, as the client has it."""
    made = InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array)
    return made


def floats(pcm: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(32768)


def batch(*recordings: Floats) -> list[InferInput]:
    """Rows filled up with noise, which must not be heard, and how long each of them is."""
    longest = max(map(len, recordings))
    rows = np.random.default_rng(2).uniform(-0.9, 0.9, (len(recordings), longest)).astype(np.float32)
    for row, recording in zip(rows, recordings, strict=True):
        row[: len(recording)] = recording
    lengths = np.array([[len(recording)] for recording in recordings], np.int64)
    return [tensor("audio_signal", rows), tensor("audio_lengths", lengths)]


def texts(result: InferResult) -> list[str]:
    return [text.decode() for text in result.as_numpy("decoded_texts").flat]


async def refusal(call: Awaitable[Any]) -> tuple[str, str]:
    """The code and the message of what must fail, as Triton's client tells them."""
    with pytest.raises(InferenceServerException) as raised:
        await call
    return str(raised.value.status()).removeprefix("StatusCode."), raised.value.message()
