"""What each way of balancing makes of three replicas of recognition, one of which takes three times as long as the others.

    python -m benchmarks.balancing [--recordings 60] [--load 0.7] [--gateways 2]

The services are real, in processes of their own, with an engine that only waits (benchmarks.deterministic). Recordings arrive
at random (a Poisson process), at `--load` times what all replicas manage together, and are uploaded as fast as they are taken,
each by one of `--gateways` that know nothing of each other; in a first round they last 5 to 20 s, in a second one 1 to 10 min.
The same recordings arrive at the same times under each policy. Prints, for each, which part of the audio the slow replica
got, where its part of the speed is 14 %, how long recordings took for each second of audio, and how many were refused; of these
the time counts until they were taken, for a refused recording is called again as the gateway would.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import grpc

from benchmarks.deterministic.recordings import recording
from benchmarks.scraping import ANY_PORT, scraped
from gateway.backends import RECOGNITION, Backend
from gateway.channels import BALANCING
from gateway.dialects import RecognitionDialect
from gateway.replicas import Replica
from gateway.retries import RetryPolicy
from gateway.supervisor import Launch, ServiceProcess, running_services
from serving import logs
from serving.calls import responses
from serving.status import from_rpc_error
from speech.asr.v1.asr_pb2 import RecognizeRequest
from speech.asr.v1.asr_pb2_grpc import SpeechRecognitionStub

if TYPE_CHECKING:
    from speech.asr.v1.asr_pb2_grpc import SpeechRecognitionAsyncStub

FAST, SLOW = 0.02, 0.06
"""Seconds that a second of audio takes."""
SPEED = 2 / FAST + 1 / SLOW
ROUNDS = {"5 to 20 s": (5.0, 20.0), "1 to 10 min": (60.0, 600.0)}
RETRIES = RetryPolicy(attempts=1000, backoff=0.2, max_backoff=10.0)
# Which of the stub's two classes there is depends on the channel, and is known to type checkers only.
Stub: TypeAlias = "SpeechRecognitionAsyncStub"
SECOND = recording(2, 60, seed=1)[32_000:64_000]


@dataclass
class Outcome:
    factors: list[float] = field(default_factory=list)
    """Seconds that each recording took, for each second of it."""
    refused: int = 0

    def row(self) -> str:
        deciles = statistics.quantiles(self.factors, n=20)
        return f"{statistics.median(self.factors):.3f} | {deciles[-1]:.3f} | {max(self.factors):.3f} | {self.refused}"


@asynccontextmanager
async def replicas() -> AsyncIterator[list[ServiceProcess]]:
    """The slow one last."""
    common = ("--address=127.0.0.1:0", f"--metrics-address={ANY_PORT}", "--parallel=1", "--max-batch=1")
    launches = [
        Launch(f"asr-{number}", "benchmarks.deterministic.asr", (*common, f"--compute-seconds={cost}"))
        for number, cost in enumerate((FAST, FAST, SLOW))
    ]
    with tempfile.TemporaryDirectory() as folder:
        async with running_services(
            launches, directory=Path(folder), sink=lambda _: None, grace_seconds=5
        ) as services:
            yield list(services.processes)


def decoded(replica: ServiceProcess) -> float:
    """Seconds of audio, by the replica's own account."""
    samples = scraped(replica.announced["metrics_address"])
    return next(sample.value for sample in samples if sample.name == "duoscribe_asr_audio_seconds_total")


async def transcribe(backend: "Backend[Stub]", seconds: float, outcome: Outcome) -> None:
    """One recording, called again after each refusal."""
    loop = asyncio.get_running_loop()
    started, failed = loop.time(), Counter["Replica[Stub]"]()
    for attempt in range(1, RETRIES.attempts):
        replica = backend.replicas.pick(failed)
        if replica is None:
            raise RuntimeError("no replica is known")
        try:
            with replica.call() as stub:
                await upload(stub, seconds)
            break
        except grpc.aio.AioRpcError as error:
            status = from_rpc_error(error)
        outcome.refused += 1
        failed[replica] += 1
        replica.failed(status, loop.time())
        wait = RETRIES.wait_after(attempt, status, backend.replicas.full_for())
        if wait is None:
            raise RuntimeError(status.message)
        await asyncio.sleep(wait)
    outcome.factors.append((loop.time() - started) / seconds)


async def upload(stub: Stub, seconds: float) -> None:
    dialect = RecognitionDialect("", "")

    async def requests() -> AsyncIterator[RecognizeRequest]:
        yield dialect.config()
        for _ in range(round(seconds)):
            yield dialect.audio(SECOND)
        yield dialect.end()

    async for _ in responses(stub.Recognize(requests())):
        pass


async def measured(
    balancing: str, lengths: Sequence[float], pauses: Sequence[float], gateways: int
) -> tuple[float, Outcome]:
    """The slow replica's part of the audio, and what became of the recordings."""
    outcome = Outcome()
    async with replicas() as processes, AsyncExitStack() as stack:
        addresses = [process.announced["address"] for process in processes]
        backends = [
            Backend(addresses, RECOGNITION, SpeechRecognitionStub, balancing) for _ in range(gateways)
        ]
        for backend in backends:
            stack.push_async_callback(backend.close)
        async with asyncio.TaskGroup() as tasks:
            for number, (seconds, pause) in enumerate(zip(lengths, pauses, strict=True)):
                await asyncio.sleep(pause)
                tasks.create_task(transcribe(backends[number % gateways], seconds, outcome))
        parts = [await asyncio.to_thread(decoded, process) for process in processes]
    return parts[-1] / sum(parts), outcome


def arrivals(bounds: tuple[float, float], count: int, load: float) -> tuple[list[float], list[float]]:
    """Lengths of recordings, and the seconds from one to the next."""
    chance = random.Random(7)
    lengths = [chance.uniform(*bounds) for _ in range(count)]
    rate = load * SPEED / statistics.mean(bounds)
    return lengths, [chance.expovariate(rate) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--recordings", type=int, default=60, help="in the second round; five times as many in the first"
    )
    parser.add_argument("--load", type=float, default=0.7)
    parser.add_argument("--gateways", type=int, default=2)
    options = parser.parse_args()
    logs.configure("warning", "console")
    print(
        "| recordings | balancing | audio at the slow one, % | median, s/s | 95 %, s/s | longest, s/s | refused |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for count, (name, bounds) in zip(
        (5 * options.recordings, options.recordings), ROUNDS.items(), strict=True
    ):
        lengths, pauses = arrivals(bounds, count, options.load)
        for balancing in BALANCING:
            part, outcome = asyncio.run(measured(balancing, lengths, pauses, options.gateways))
            print(f"| {count} of {name} | {balancing} | {100 * part:.0f} | {outcome.row()} |", flush=True)


if __name__ == "__main__":
    main()
