"""How the service and its worker processes talk: frames over the worker's standard input and output.

A frame is a kind (1 byte), a recording's number (4 bytes), the length of its payload (4 bytes; all little endian) and the
payload, a serialised protobuf message:

    to the worker     REQUEST   DiarizeRequest: config, then audio (16 kHz mono s16le), then end_of_audio
                      CANCEL    nothing: give the recording up
    from the worker   READY     DescribeDiarizationResponse: what was loaded; once, first, of no recording
                      GRANT     Int64Value: so many samples of the recording may be sent in all; first 0, never less
                      RESPONSE  DiarizeResponse: progress, turns, completed
                      FAILED    google.rpc.Status
                      TIMES     Struct: `diarization_service.times.Times`, before the last RESPONSE
                      REPORT    Struct: `diarization_service.reports.Report`, of no recording
                      ALIVE     nothing, of no recording: every second, whatever is computed

Recordings are numbered by the service, and no number is used twice. Those in flight share the pipes: their frames come in
any company, each one's own in order. Every recording is answered by a last RESPONSE with `completed`, or by FAILED; a
cancelled one by FAILED once nothing is computed for it any more. The service sends no more audio than was granted, so what
a worker holds is bounded. Messages are never pickled.
"""

import asyncio
import enum
import struct
from typing import BinaryIO, NamedTuple

from google.protobuf.message import Message

_HEADER = struct.Struct("<BII")

NO_RECORDING = 0


class Kind(enum.IntEnum):
    """What a frame holds."""

    REQUEST = 1
    CANCEL = 2
    READY = 3
    RESPONSE = 4
    FAILED = 5
    GRANT = 6
    REPORT = 7
    TIMES = 8
    ALIVE = 9


class Frame(NamedTuple):
    """One frame; recordings are numbered from 1 on."""

    kind: Kind
    recording: int
    payload: bytes


def encode(kind: Kind, recording: int = NO_RECORDING, message: Message | None = None) -> bytes:
    """The frame's bytes."""
    payload = b"" if message is None else message.SerializeToString()
    return _HEADER.pack(kind, recording, len(payload)) + payload


async def read(stream: asyncio.StreamReader) -> Frame:
    """The next frame. Raises asyncio.IncompleteReadError at the stream's end."""
    kind, recording, length = _HEADER.unpack(await stream.readexactly(_HEADER.size))
    return Frame(Kind(kind), recording, await stream.readexactly(length))


def read_blocking(stream: BinaryIO) -> Frame:
    """The next frame. Raises EOFError at the stream's end."""
    kind, recording, length = _HEADER.unpack(_exactly(stream, _HEADER.size))
    return Frame(Kind(kind), recording, _exactly(stream, length))


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
