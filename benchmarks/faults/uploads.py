"""What one caller sends, and how: drawn at random, so that a seed tells all of it."""

import asyncio
import io
import random
import wave
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gateway.client import Transcript, TranscriptionClient, configuration
from serving.times import SAMPLE_RATE
from speech.audio.v1 import audio_pb2
from speech.gateway.v1 import gateway_pb2

PCM = audio_pb2.PcmFormat(encoding=audio_pb2.PCM_ENCODING_S16LE, sample_rate_hz=SAMPLE_RATE, channels=1)

_CHUNK_BYTES = (999, 16_000, 50_001, 64_000, 250_000)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """`recording` is an index. `seconds`: how long sending takes, 0 as fast as it is taken."""

    recording: int
    seconds: float
    chunk_bytes: int
    as_wav: bool
    whole: bool
    """By TranscribeFile, with one answer at the end."""
    final_only: bool
    accept_partial: bool
    cancelled_after: float | None = None
    deadline: float | None = None


def drawn(chance: random.Random, recordings: int, *, longest: float) -> Upload:
    """One upload in ten is cancelled, and one in ten has a deadline too short; `longest` is in seconds."""
    ending = chance.random()
    return Upload(
        recording=chance.randrange(recordings),
        seconds=chance.choice((0.0, chance.uniform(0.0, longest))),
        chunk_bytes=chance.choice(_CHUNK_BYTES),
        as_wav=chance.random() < 0.5,
        whole=chance.random() < 0.25,
        final_only=chance.random() < 0.25,
        accept_partial=chance.random() < 0.25,
        cancelled_after=chance.uniform(0.05, longest / 2) if ending < 0.1 else None,
        deadline=chance.uniform(0.05, longest / 2) if 0.1 <= ending < 0.2 else None,
    )


class Caller:
    """Carries an upload out; `transcript` and `seen` grow while it does."""

    def __init__(self, upload: Upload, pcm: bytes, address: str) -> None:
        self.upload = upload
        self.transcript = Transcript()
        self.seen: list[gateway_pb2.Segment] = []
        """Every segment that ever came, superseded ones too."""
        self._pcm = pcm
        self._address = address

    async def run(self) -> None:
        """To the end of the answer, or until the caller cancels. Raises TranscriptionError."""
        async with TranscriptionClient(self._address) as client:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.upload.cancelled_after):
                    await self._call(client)

    async def _call(self, client: TranscriptionClient) -> None:
        if self.upload.whole:
            await self._transcribe_file(client)
        else:
            await self._transcribe(client)

    async def _transcribe(self, client: TranscriptionClient) -> None:
        async for event in client.transcribe(self._chunks(), self._config(), timeout=self.upload.deadline):
            self.transcript.apply(event)
            if event.HasField("segment"):
                self.seen.append(event.segment)

    async def _transcribe_file(self, client: TranscriptionClient) -> None:
        answer = await client.transcribe_file(self._chunks(), self._config(), timeout=self.upload.deadline)
        self.transcript = Transcript.from_response(answer)
        self.seen = list(answer.segments)

    def _config(self) -> gateway_pb2.TranscriptionConfig:
        audio: dict[str, Any] = {"name": "recording.wav"} if self.upload.as_wav else {"pcm": PCM}
        return configuration(
            final_only=self.upload.final_only, accept_partial=self.upload.accept_partial, **audio
        )

    async def _chunks(self) -> AsyncIterator[bytes]:
        data = in_wav(self._pcm) if self.upload.as_wav else self._pcm
        size = self.upload.chunk_bytes
        pause = self.upload.seconds * size / len(data)
        for start in range(0, len(data), size):
            yield data[start : start + size]
            await asyncio.sleep(pause)


def in_wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(pcm)
    return file.getvalue()
