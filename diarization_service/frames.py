"""How the service and its worker processes talk: frames over the worker's standard input and output.

A frame is a kind (1 byte), the length of its payload (4 bytes, little endian) and the payload, a serialised protobuf
message:

    to the worker     REQUEST   DiarizeRequest: config, then audio (16 kHz mono s16le), then end_of_audio
                      CANCEL    nothing: give the recording up
    from the worker   READY     DescribeDiarizationResponse: what was loaded; once, first
                      RESPONSE  DiarizeResponse: progress, turns, completed
                      FAILED    google.rpc.Status

Every recording is answered by a last RESPONSE with `completed`, or by FAILED. Messages are never pickled.
"""

import asyncio
import enum
import struct
from typing import BinaryIO

from google.protobuf.message import Message

_HEADER = struct.Struct("<BI")


class Kind(enum.IntEnum):
    """What a frame holds."""

    REQUEST = 1
    CANCEL = 2
    READY = 3
    RESPONSE = 4
    FAILED = 5


def encode(kind: Kind, message: Message | None = None) -> bytes:
    """The frame's bytes."""
    payload = b"" if message is None else message.SerializeToString()
    return _HEADER.pack(kind, len(payload)) + payload


async def read(stream: asyncio.StreamReader) -> tuple[Kind, bytes]:
    """The next frame. Raises asyncio.IncompleteReadError at the stream's end."""
    kind, length = _HEADER.unpack(await stream.readexactly(_HEADER.size))
    return Kind(kind), await stream.readexactly(length)


def read_blocking(stream: BinaryIO) -> tuple[Kind, bytes]:
    """The next frame. Raises EOFError at the stream's end."""
    kind, length = _HEADER.unpack(_exactly(stream, _HEADER.size))
    return Kind(kind), _exactly(stream, length)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
