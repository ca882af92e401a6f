"""What it costs to decode each recording in a process of its own, against a thread of the service.

    python -m benchmarks.decoding [--minutes 10] [--rounds 5]

The same recording, its upload in chunks of 64 KiB as fast as it is taken, is decoded in turn both ways; the thread runs the same
code over the same sockets. Prints medians: CPU time of all processes for an hour of audio and the ratio of both ways, how many
times faster than the recording, and how long the first block takes.
"""

import argparse
import asyncio
import io
import os
import socket
import statistics
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import av
import numpy as np

from benchmarks.processes import usage
from serving.audio import Bounds, Decoder, open_recording
from serving.audio.fork_server import Child
from serving.config import ServerConfig
from serving.decoding import child
from serving.decoding.connection import Connection
from serving.times import SAMPLE_RATE
from speech.audio.v1 import audio_pb2

_CONTAINER = audio_pb2.AudioFormat(container=audio_pb2.ContainerFormat())
# CPU time here is that of all recordings together.
_BOUNDS = Bounds.of(ServerConfig(max_audio_seconds=1e6, decoder_cpu_seconds=1e6))
_FORMATS = (
    ("wav", "pcm_s16le", 44_100),
    ("flac", "flac", 44_100),
    ("mp3", "libmp3lame", 44_100),
    ("ogg", "libopus", 48_000),
    ("mp4", "aac", 44_100),
)


class ThreadDecoder(Decoder):
    """Decodes in threads of this process."""

    async def start(self) -> None: ...

    async def fork(self) -> Child:
        (talk, service), (leash, held) = socket.socketpair(), socket.socketpair()
        talk.setblocking(False)
        leash.setblocking(False)
        threading.Thread(target=self._decode, args=(service, held)).start()
        return Child(os.getpid(), talk, leash)

    def _decode(self, service: socket.socket, held: socket.socket) -> None:
        with service, held:
            connection = Connection(service)
            request = connection.request()
            child.Decoder(connection, request.bounds, None).decode(request)
            connection.finish()


@dataclass(frozen=True)
class Run:
    """Of one recording, in seconds."""

    audio: float
    wall: float
    cpu: float
    first: float


async def decoded(decoder: Decoder, file: bytes) -> Run:
    cpu, start = usage(os.getpid()).cpu_seconds, time.perf_counter()
    first, samples = 0.0, 0
    async with open_recording(_CONTAINER, _chunks(file), decoder=decoder, bounds=_BOUNDS) as recording:
        async for block in recording.blocks():
            first = first or time.perf_counter() - start
            samples += len(block)
    wall = time.perf_counter() - start
    # A decoder's CPU time is its maker's once it has ended.
    await asyncio.sleep(0.2)
    return Run(samples / SAMPLE_RATE, wall, usage(os.getpid()).cpu_seconds - cpu, first)


async def _chunks(file: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(file), 64 * 1024):
        yield file[start : start + 64 * 1024]


def speechlike(container: str, codec: str, rate: int, minutes: float) -> bytes:
    """Noise that comes and goes, mono."""
    size = round(60 * minutes * rate)
    sound = np.random.default_rng(1).normal(0, 0.1, size) * (np.arange(size) % rate < rate / 2)
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = cast("av.AudioStream", output.add_stream(codec, rate=rate, layout="mono"))
        frame = av.AudioFrame.from_ndarray(sound.astype(np.float32).reshape(1, -1), "fltp", "mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.codec_context.format.name, layout="mono", rate=rate)
        for converted in resampler.resample(frame):
            output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return file.getvalue()


async def _compare(minutes: float, rounds: int) -> None:
    print(
        "| format | CPU s an hour, thread | process | ratio | times real time | process | first block, ms | process |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    apart, together = Decoder(), ThreadDecoder()
    await apart.start()
    for container, codec, rate in _FORMATS:
        file = speechlike(container, codec, rate, minutes)
        runs = [(await decoded(together, file), await decoded(apart, file)) for _ in range(rounds)]
        print(_row(codec, *zip(*runs, strict=True)))
    await apart.close()


def _row(codec: str, threads: tuple[Run, ...], processes: tuple[Run, ...]) -> str:
    before, after = ([3600 * run.cpu / run.audio for run in runs] for runs in (threads, processes))
    ratio = statistics.median(b / a for a, b in zip(before, after, strict=True))
    speeds = [statistics.median(run.audio / run.wall for run in runs) for runs in (threads, processes)]
    firsts = [1000 * statistics.median(run.first for run in runs) for runs in (threads, processes)]
    return (
        f"| {codec} | {statistics.median(before):.1f} | {statistics.median(after):.1f} | {ratio:.2f} | "
        f"{speeds[0]:,.0f} | {speeds[1]:,.0f} | {firsts[0]:.0f} | {firsts[1]:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    asyncio.run(_compare(arguments.minutes, arguments.rounds))


if __name__ == "__main__":
    main()
