"""What end-to-end tests ask of a gateway, and how they look at its answers."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from gateway.client import Transcript, TranscriptionClient, configuration, read_file
from serving.times import seconds
from speech.gateway.v1 import gateway_pb2


async def chunked(data: bytes, size: int = 64 * 1024, pause: float = 0.0) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]
        await asyncio.sleep(pause)


class Caller:
    """One gateway, asked in the ways that tests need."""

    def __init__(self, client: TranscriptionClient) -> None:
        self.client = client

    async def events(
        self, chunks: AsyncIterable[bytes], **config: Any
    ) -> list[gateway_pb2.TranscribeResponse]:
        return [event async for event in self.client.transcribe(chunks, configuration(**config))]

    async def transcribe(self, path: Path, **config: Any) -> Transcript:
        return replayed(await self.events(read_file(path), name=path.name, **config))

    async def transcribe_file(self, path: Path, **config: Any) -> Transcript:
        request = configuration(name=path.name, **config)
        return Transcript.from_response(await self.client.transcribe_file(read_file(path), request))


def replayed(events: Iterable[gateway_pb2.TranscribeResponse]) -> Transcript:
    transcript = Transcript()
    for event in events:
        transcript.apply(event)
    return transcript


def spoken_words(transcript: Transcript) -> list[tuple[str, str, float, float]]:
    """(speaker, word, start, end) of the whole transcript."""
    return [
        (word.speaker, word.text, seconds(word.start), seconds(word.end))
        for segment in transcript.segments
        for word in segment.words
    ]
