"""Callers in a process of their own, as cheap as Python's gRPC allows: what they send is made once, as bytes."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import psutil

from serving.calls import responses
from speech.audio.v1 import audio_pb2
from speech.gateway.v1 import gateway_pb2

_METHOD = "/speech.gateway.v1.Transcription/Transcribe"
_END = gateway_pb2.TranscribeRequest(end_of_audio=audio_pb2.EndOfAudio()).SerializeToString()
# Callers share nothing: neither a connection nor its flow control.
_CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What each of `callers` does: upload the same recording, again and again.

    They begin spread evenly over `ramp` seconds, and begin no further upload `seconds` after the first of them began. A
    message carries `chunk` bytes, and comes `interval` seconds after the one before, or as soon as that was taken where it
    is 0. An event is read `read_interval` seconds after the one before; None never reads. Of `cancelled` uploads in a
    hundred the caller goes away in the middle.
    """

    label: str
    address: str
    config: bytes
    recording: bytes
    audio_seconds: float
    chunk: int
    callers: int
    interval: float = 0.0
    seconds: float = 10.0
    ramp: float = 2.0
    read_interval: float | None = 0.0
    cancelled: int = 0
    deadline: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one upload of a caller; times in seconds since the epoch, 0 where it did not come so far."""

    label: str
    caller: int
    code: str
    audio_seconds: float
    size: int
    started: float
    first_event: float
    last_byte: float
    ended: float
    segments: int


@dataclass(frozen=True)
class Generated:
    """What one process of callers did, and what it took of a core."""

    outcomes: list[Outcome]
    cpu_share: float


def generate(plans: Sequence[Plan]) -> Generated:
    """Carry the plans out side by side. To be called in a process of its own."""
    before, started = psutil.Process().cpu_times(), time.monotonic()
    callers = [
        _Caller(plan, number, messages)
        for plan, messages in [(plan, _messages(plan)) for plan in plans]
        for number in range(plan.callers)
    ]
    asyncio.run(_all(callers))
    after, wall = psutil.Process().cpu_times(), time.monotonic() - started
    cpu = after.user + after.system - before.user - before.system
    return Generated([outcome for caller in callers for outcome in caller.outcomes], cpu / wall)


def _messages(plan: Plan) -> list[bytes]:
    return [
        gateway_pb2.TranscribeRequest(audio=plan.recording[at : at + plan.chunk]).SerializeToString()
        for at in range(0, len(plan.recording), plan.chunk)
    ]


async def _all(callers: Sequence["_Caller"]) -> None:
    await asyncio.gather(*(caller.run() for caller in callers))


class _Caller:
    def __init__(self, plan: Plan, number: int, messages: Sequence[bytes]) -> None:
        self.plan = plan
        self.outcomes: list[Outcome] = []
        self._number = number
        self._messages = messages

    async def run(self) -> None:
        plan, until = self.plan, time.monotonic() + self.plan.seconds
        await asyncio.sleep(plan.ramp * self._number / plan.callers)
        async with grpc.aio.insecure_channel(plan.address, options=_CHANNEL_OPTIONS) as channel:
            method: Any = channel.stream_stream(_METHOD)
            while not self.outcomes or time.monotonic() < until:
                await self._upload(method)

    async def _upload(self, method: Any) -> None:
        call = _Call(method(timeout=self.plan.deadline))
        started = time.time()
        # Spread evenly over the callers and the uploads of each.
        leaves = (self._number * 37 + len(self.outcomes) * 61) % 100 < self.plan.cancelled
        sending = asyncio.create_task(self._send(call, leaves=leaves))
        code = await call.listen(self.plan.read_interval)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        self.outcomes.append(
            Outcome(
                label=self.plan.label,
                caller=self._number,
                code="LEFT" if leaves and code == "CANCELLED" else code,
                audio_seconds=self.plan.audio_seconds,
                size=len(self.plan.recording),
                started=started,
                first_event=call.first_event,
                last_byte=call.last_byte,
                ended=time.time(),
                segments=call.segments,
            )
        )

    async def _send(self, call: "_Call", *, leaves: bool) -> None:
        due = time.monotonic()
        await call.write(self.plan.config)
        for message in self._messages[: len(self._messages) // 2 if leaves else None]:
            await call.write(message)
            if self.plan.interval:
                due += self.plan.interval
                await asyncio.sleep(due - time.monotonic())
        if leaves:
            call.leave()
        else:
            await call.end()


class _Call:
    """A call, and when what happened in it."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._events = responses(call)
        self._completed = False
        self.first_event = 0.0
        self.last_byte = 0.0
        self.segments = 0

    async def write(self, message: bytes) -> None:
        await self._call.write(message)

    def leave(self) -> None:
        self._call.cancel()

    async def end(self) -> None:
        await self._call.write(_END)
        self.last_byte = time.time()
        await self._call.done_writing()

    async def listen(self, interval: float | None) -> str:
        """Until the call ends; the name of its status, or INCOMPLETE where it is OK without the last event."""
        try:
            if interval is None:
                return str((await self._call.code()).name)
            await self._read(interval)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        except asyncio.CancelledError:
            return "CANCELLED"
        return "OK" if self._completed else "INCOMPLETE"

    async def _read(self, interval: float) -> None:
        async for event in self._events:
            self.first_event = self.first_event or time.time()
            kind = gateway_pb2.TranscribeResponse.FromString(event).WhichOneof("event")
            self.segments += kind == "segment"
            self._completed = kind == "completed"
            if interval:
                await asyncio.sleep(interval)
