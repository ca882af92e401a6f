"""Several gateways, called from Python as if they were one.

async with Gateways(["10.0.0.1:50050", "10.0.0.2:50050"]) as gateways:
    transcript = await gateways.transcribe(lambda: read_file(path), configuration(name=path.name))

A gateway keeps nothing when it goes, so a recording that it has not finished is uploaded again, to another one; for that it is
given as a function that begins to read it, and the transcript is given whole.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterable, Callable, Sequence
from types import TracebackType
from typing import Any, Self

from google.rpc import status_pb2

from gateway.client import TranscriptionClient, TranscriptionError
from gateway.retries import RetryPolicy
from gateway.transcript import Transcript
from speech.gateway.v1 import gateway_pb2

_RETRIES = RetryPolicy(attempts=6, backoff=0.2, max_backoff=10.0)


class Gateways:
    """Calls the gateway that has the fewest recordings of this client, and after a failure one that has not failed it yet."""

    def __init__(self, addresses: Sequence[str], *, retries: RetryPolicy = _RETRIES, **options: Any) -> None:
        """`options` are those of each TranscriptionClient. Raises ValueError without an address, and what a client raises."""
        if not addresses:
            raise ValueError("at least one gateway's address is needed")
        self._clients = [TranscriptionClient(address, **options) for address in addresses]
        self._retries = retries
        self._in_flight: Counter[TranscriptionClient] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self._clients))

    async def transcribe(
        self,
        read: Callable[[], AsyncIterable[bytes]],
        config: gateway_pb2.TranscriptionConfig,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - of each call, which travels to the servers
    ) -> Transcript:
        """Upload what `read()` yields and wait for the transcript.

        Raises the TranscriptionError of the last call where another would end no better, or enough were made; and what
        `read` raises.
        """
        failed: Counter[TranscriptionClient] = Counter()
        while True:
            client = min(self._clients, key=lambda one: (failed[one], self._in_flight[one], random.random()))  # noqa: S311 - no secret
            try:
                return await self._call(client, read(), config, timeout)
            except TranscriptionError as error:
                failed[client] += 1
                wait = self._wait(error, failed)
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    async def _call(
        self,
        client: TranscriptionClient,
        chunks: AsyncIterable[bytes],
        config: gateway_pb2.TranscriptionConfig,
        seconds: float | None,
    ) -> Transcript:
        transcript = Transcript()
        self._in_flight[client] += 1
        try:
            async for event in client.transcribe(chunks, config, timeout=seconds):
                transcript.apply(event)
        finally:
            self._in_flight[client] -= 1
        return transcript

    def _wait(self, error: TranscriptionError, failed: "Counter[TranscriptionClient]") -> float | None:
        """Before the next call; what a gateway asks for does not hold for others that were not called yet."""
        status = status_pb2.Status(code=error.code.value[0])
        all_failed = all(failed[client] for client in self._clients)
        asked = (error.retry_after or 0.0) if all_failed else 0.0
        return self._retries.wait_after(failed.total(), status, asked)
