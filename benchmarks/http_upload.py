"""What a recording costs the gateway over HTTP, beside the same over gRPC.

    python -m benchmarks.http_upload [--hours 1] [--rounds 3]

A WAV file is sent by turns through `gateway.client` and through OpenAI's client, as fast as the gateway takes it, and recognised
without speakers by an engine that computes next to nothing. Gateway, sockets and spool are real. Prints the CPU time of the
gateway's process for each, decoders left out, and its highest resident memory meanwhile.
"""

import argparse
import asyncio
import tempfile
import wave
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import openai
import psutil

from benchmarks.processes import resident_memory
from gateway.client import TranscriptionClient, configuration, read_file
from gateway.supervisor import Launch, Services, running_services
from serving.times import SAMPLE_RATE

# Sends a file, and gives the words of its transcript.
Way = Callable[[Path], Awaitable[int]]


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the gateway's process, its highest resident memory in bytes, and the transcript's words."""

    cpu_seconds: float
    memory: int
    words: int


async def over_grpc(address: str, path: Path) -> int:
    async with TranscriptionClient(address) as client:
        wanted = configuration(name=path.name, omit_speakers=True)
        reply = await client.transcribe_file(read_file(path), wanted)
    return int(reply.completed.words)


async def over_http(address: str, path: Path) -> int:
    async with openai.AsyncOpenAI(base_url=f"http://{address}/v1", api_key="unasked") as client:
        transcription = await client.audio.transcriptions.create(file=path, model="whisper-1")
    return len(transcription.text.split())


async def cost(way: Way, path: Path, pid: int) -> Cost:
    before = psutil.Process(pid).cpu_times()
    sending = asyncio.ensure_future(way(path))
    memory = resident_memory(pid)
    while not sending.done():
        memory = max(memory, resident_memory(pid))
        await asyncio.sleep(0.05)
    after = psutil.Process(pid).cpu_times()
    return Cost(after.user + after.system - before.user - before.system, memory, await sending)


async def measure(hours: float, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asr = Launch("asr", "benchmarks.deterministic.asr", (f"--address=unix:{folder}/asr.sock",))
        flags = (
            "--address=127.0.0.1:0",
            "--http-address=127.0.0.1:0",
            f"--asr=unix:{folder}/asr.sock",
            f"--spool-directory={folder}",
        )
        launches = [asr, Launch("gateway", "gateway", flags)]
        async with running_services(
            launches, directory=folder, sink=lambda _: None, grace_seconds=10
        ) as services:
            await compare(services, written(folder / "talk.wav", hours), rounds)


async def compare(services: Services, path: Path, rounds: int) -> None:
    gateway = services.processes[1]
    ways: dict[str, Way] = {
        "gRPC": lambda path: over_grpc(gateway.announced["address"], path),
        "HTTP": lambda path: over_http(gateway.announced["http_address"], path),
    }
    for way in ways.values():  # Imports and arenas that the first recording brings are not its own.
        await way(path)
    print("| over | CPU, s | highest memory, MiB | words |")
    print("| --- | --- | --- | --- |")
    for _ in range(rounds):
        for name, way in ways.items():
            found = await cost(way, path, gateway.pid)
            print(f"| {name} | {found.cpu_seconds:.2f} | {found.memory / 2**20:.1f} | {found.words} |")


def written(path: Path, hours: float) -> Path:
    """Noise: 16 kHz, mono, 16 bits."""
    noise = Random(0)
    with wave.open(str(path), "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(SAMPLE_RATE)
        for _ in range(round(60 * hours)):
            recording.writeframes(noise.randbytes(2 * 60 * SAMPLE_RATE))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    asyncio.run(measure(wanted.hours, wanted.rounds))


if __name__ == "__main__":
    main()
