"""The gateway's HTTP, called by OpenAI's own client and by connections that do as tests want."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai

from support.gateway.deployment import Deployment, deployed
from support.gateway.fakes import FakeDiarization, FakeRecognition, diarization, recognition

BOUNDARY = "boundary"
MODEL = "whisper-1"

UTTERANCES = ((0.5, 2.5, "hello there you"), (3.0, 5.0, "well hi my friend"))
TURNS = ((0.4, 2.6, "SPEAKER_00"), (2.9, 5.0, "SPEAKER_01"))
TEXT = "hello there you well hi my friend"


@asynccontextmanager
async def answering(
    tmp_path: Path,
    asr: FakeRecognition | None = None,
    turns: FakeDiarization | None = None,
    /,
    **changes: Any,
) -> AsyncIterator[Deployment]:
    """A gateway that answers HTTP, before backends which say TEXT by two speakers."""
    asr, turns = asr or recognition(*UTTERANCES), turns or diarization(*TURNS)
    async with deployed(tmp_path, asr, turns, http_address="127.0.0.1:0", **changes) as door:
        yield door


def http_address(door: Deployment) -> str:
    return door.server.addresses.http_address or ""


def base_url(door: Deployment) -> str:
    return f"http://{http_address(door)}/v1"


def official(door: Deployment, token: str = "unasked", **options: Any) -> openai.AsyncOpenAI:
    """OpenAI's client, which fails on answers that are not of the documented types."""
    settings: dict[str, Any] = {"base_url": base_url(door), "api_key": token, "max_retries": 0} | options
    return openai.AsyncOpenAI(**settings, _strict_response_validation=True)


def wav(seconds: float) -> bytes:
    """Silence."""
    written = io.BytesIO()
    with wave.open(written, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(16_000)
        recording.writeframes(bytes(2 * round(16_000 * seconds)))
    return written.getvalue()


def recording(seconds: float = 6.0) -> tuple[str, bytes]:
    """As OpenAI's client takes files."""
    return "talk.wav", wav(seconds)


def part(name: str, value: str | bytes, filename: str | None = None) -> bytes:
    given = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{given}\r\n\r\n'
    return head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"


def form(*parts: tuple[str, str | bytes]) -> bytes:
    """A whole form; of `file` its bytes."""
    written = [part(name, value, "talk.wav" if name == "file" else None) for name, value in parts]
    return b"".join(written) + END


END = f"--{BOUNDARY}--\r\n".encode()
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
PATH = "/v1/audio/transcriptions"


class Connection:
    """One request, whose body is sent as a test wants; made by `posting`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """A chunk of the body."""
        self.writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self.writer.drain()

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """The status and the body of an answer that says how long it is."""
        status = int((await self.reader.readline()).split()[1])
        length = 0
        while (line := await self.reader.readline()).strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return status, await self.reader.readexactly(length)


@asynccontextmanager
async def posting(
    door: Deployment, headers: Sequence[tuple[str, str]] = (("Content-Type", CONTENT_TYPE),), path: str = PATH
) -> AsyncIterator[Connection]:
    """A connection that has said what it posts, and nothing of it yet."""
    host, _, port = http_address(door).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        lines = [f"POST {path} HTTP/1.1", "Host: gateway", "Transfer-Encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in headers]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        yield Connection(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


async def posted(door: Deployment, body: bytes, **options: Any) -> tuple[int, bytes]:
    """What comes of a whole body."""
    async with posting(door, **options) as connection:
        await connection.send(body)
        await connection.end()
        return await connection.answer()
