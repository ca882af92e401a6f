"""A decoder's end of what it and the service say to each other."""

import select
import socket

from serving.decoding import messages
from serving.decoding.messages import Kind, Request
from serving.decoding.samples import Samples
from serving.errors import DuoscribeError
from speech.audio.v1 import audio_pb2

_RECEIVE_BYTES = 64 * 1024
# Who sends as fast as it can is sometimes a little late.
_DRY_SECONDS = 0.02


class Connection:
    """Blocking: who takes slowly slows the decoder. Raises ConnectionError once the service has gone."""

    def __init__(self, service: socket.socket) -> None:
        self._service = service

    def request(self) -> Request:
        kind, length = messages.decode_header(self._exactly(messages.HEADER_BYTES))
        if kind is not Kind.REQUEST:
            raise ValueError("a service begins with a request")
        return Request.from_bytes(self._exactly(length))

    def is_dry(self) -> bool:
        """Whether nothing is to be received, not even shortly."""
        return not select.select([self._service], [], [], _DRY_SECONDS)[0]

    def receive(self, size: int) -> bytes:
        """What is there of the upload, 1 to `size` bytes; waits for the first. Empty at the end."""
        return self._service.recv(min(size, _RECEIVE_BYTES))

    def announce(self, info: audio_pb2.RecordingInfo) -> None:
        self._send(Kind.INFO, info.SerializeToString())

    def write(self, samples: Samples) -> None:
        self._send(Kind.BLOCK, samples.tobytes())

    def finish(self) -> None:
        self._send(Kind.DONE)

    def fail(self, error: DuoscribeError) -> None:
        self._send(Kind.FAILURE, messages.failure(error))

    def break_down(self, traceback: str) -> None:
        self._send(Kind.FAILURE, messages.bug(traceback))

    def _send(self, kind: Kind, payload: bytes = b"") -> None:
        self._service.sendall(messages.encode(kind, payload))

    def _exactly(self, size: int) -> bytes:
        received = self._service.recv(size, socket.MSG_WAITALL)
        if len(received) < size:
            raise ConnectionError("the service has gone")
        return received
