"""Sends hostile uploads, a few at once, and keeps account of what came of them."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any

import grpc

from benchmarks.hostile_input.uploads import hostile_messages
from serving.calls import responses
from speech.asr.v1 import asr_pb2, asr_pb2_grpc
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc

_HANGS_AFTER_SECONDS = 120.0


@dataclass
class Outcomes:
    """How cases ended; those that hung or met a bug by their numbers."""

    statuses: Counter[str] = field(default_factory=Counter)
    hung: list[int] = field(default_factory=list)
    bugs: list[int] = field(default_factory=list)

    def note(self, case: int, status: str) -> None:
        self.statuses[status] += 1
        if status in {"INTERNAL", "UNKNOWN"}:
            self.bugs.append(case)


@dataclass(frozen=True)
class Target:
    """One of the services' calls, and the types of what it is sent."""

    address: str
    stub: Callable[[grpc.aio.Channel], Any]
    method: str
    request: type[Any]
    config: type[Any]


def recognition_at(address: str) -> Target:
    stub = asr_pb2_grpc.SpeechRecognitionStub
    return Target(address, stub, "Recognize", asr_pb2.RecognizeRequest, asr_pb2.RecognitionConfig)


def gateway_at(address: str) -> Target:
    stub = gateway_pb2_grpc.TranscriptionStub
    return Target(address, stub, "Transcribe", gateway_pb2.TranscribeRequest, gateway_pb2.TranscriptionConfig)


async def send_all(
    targets: Sequence[Target], cases: Sequence[int], outcomes: Outcomes, *, seed: int, at_once: int
) -> None:
    """To the targets in turn."""
    left = iter(cases)
    async with AsyncExitStack() as channels, asyncio.TaskGroup() as senders:
        opened = [
            await channels.enter_async_context(grpc.aio.insecure_channel(target.address))
            for target in targets
        ]
        calls = [
            getattr(target.stub(channel), target.method)
            for target, channel in zip(targets, opened, strict=True)
        ]
        for _ in range(at_once):
            senders.create_task(_send(left, targets, calls, outcomes, seed))


async def _send(
    left: Iterator[int], targets: Sequence[Target], calls: Sequence[Any], outcomes: Outcomes, seed: int
) -> None:
    for case in left:
        which = case % len(targets)
        target = targets[which]
        messages = hostile_messages(random.Random(f"{seed} {case}"), target.request, target.config)
        try:
            async with asyncio.timeout(_HANGS_AFTER_SECONDS):
                outcomes.note(case, await _status(calls[which], messages))
        except TimeoutError:
            outcomes.hung.append(case)


async def _status(method: Any, messages: Sequence[Any]) -> str:
    """The name of the code that the call ends with."""
    call = method()
    answers = responses(call)
    writing = asyncio.create_task(_write(call, messages))
    try:
        async with aclosing(answers):
            async for _ in answers:
                pass
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    return "OK"


async def _write(call: Any, messages: Sequence[Any]) -> None:
    for message in messages:
        await call.write(message)
    await call.done_writing()
