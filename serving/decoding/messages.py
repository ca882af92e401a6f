"""What a service and the decoder of one recording say to each other, over a socket between the two.

The service sends one request, then the upload's bytes as they are, then closes its half. The decoder sends what the recording
is, its sound, and one of two ends. A message is a byte for its kind, four for its length, and so many bytes.

Nothing that a decoder says is believed to be well formed: its process may be in the hands of whoever sent the recording.
"""

import json
import struct
from dataclasses import dataclass
from enum import IntEnum

from serving.decoding.bounds import Bounds
from serving.errors import DuoscribeError, InvalidAudio, RecordingTooLong, Unavailable
from speech.audio.v1 import audio_pb2

_HEADER = struct.Struct("!BI")
HEADER_BYTES = _HEADER.size

# A block has half as much, a traceback less.
MAX_PAYLOAD_BYTES = 64 * 1024

# What a recording may fail with. Everything else is a bug.
_ERRORS: dict[str, type[DuoscribeError]] = {
    kind.__name__: kind for kind in (InvalidAudio, RecordingTooLong, Unavailable)
}


class Kind(IntEnum):
    """What a message holds."""

    REQUEST = 0
    # A serialised RecordingInfo.
    INFO = 1
    # At most MAX_BLOCK_SAMPLES samples, 16 bits, in the machine's byte order.
    BLOCK = 2
    # Nothing: the recording has come to its end.
    DONE = 3
    # What went wrong.
    FAILURE = 4


class DecoderBug(Exception):  # noqa: N818 - a bug is what it is
    """A decoder failed in a way that is nobody's fault but ours; the message is its traceback."""


@dataclass(frozen=True)
class Request:
    """What a decoder is to do."""

    audio_format: audio_pb2.AudioFormat
    bounds: Bounds

    def to_bytes(self) -> bytes:
        bounds = self.bounds.to_json().encode()
        return struct.pack("!I", len(bounds)) + bounds + self.audio_format.SerializeToString()

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Request":
        (size,) = struct.unpack_from("!I", payload)
        return cls(
            bounds=Bounds.from_json(payload[4 : 4 + size]),
            audio_format=audio_pb2.AudioFormat.FromString(payload[4 + size :]),
        )


def encode(kind: Kind, payload: bytes = b"") -> bytes:
    return _HEADER.pack(kind, len(payload)) + payload


def decode_header(header: bytes | bytearray) -> tuple[Kind, int]:
    """A message's kind and its payload's length. Raises ValueError for what is none."""
    kind, length = _HEADER.unpack(header)
    if length > MAX_PAYLOAD_BYTES:
        raise ValueError("a message that is too long")
    return Kind(kind), length


def failure(error: DuoscribeError) -> bytes:
    """A failure's payload for an error that a caller may read."""
    return json.dumps({"kind": type(error).__name__, "message": error.message, "field": error.field}).encode()


def bug(traceback: str) -> bytes:
    """A failure's payload for anything else."""
    return json.dumps({"kind": "", "message": traceback[-MAX_PAYLOAD_BYTES // 8 :], "field": None}).encode()


def error_of(payload: bytes | bytearray) -> Exception:
    """The error that a failure's payload tells of. Raises ValueError for what is none."""
    match json.loads(payload):
        case {"kind": str(kind), "message": str(message), "field": str() | None as field}:
            error = _ERRORS.get(kind)
            return DecoderBug(message) if error is None else error(message, field=field)
    raise ValueError("a failure that tells nothing")
