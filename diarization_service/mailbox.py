"""A worker process's ends of the pipes to its service."""

import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

from google.protobuf.message import Message

from diarization_service.frames import Kind, encode, read_blocking
from speech.diarization.v1.diarization_pb2 import DiarizationConfig, DiarizeRequest


class Cancelled(Exception):  # noqa: N818  not an error
    """The service gave the recording up."""


class Inbox:
    """Frames from the service, read by a thread of its own."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._requests: queue.Queue[DiarizeRequest | None] = queue.Queue()
        self._cancelled = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def next_config(self) -> DiarizationConfig:
        """The next recording's config; what is left over from a cancelled one is passed over."""
        while True:
            request = self._requests.get()
            if request is not None and request.HasField("config"):
                return request.config

    def audio(self) -> Iterator[bytes]:
        """The recording's audio up to its end. Raises Cancelled."""
        while True:
            request = self._requests.get()
            if request is None:
                raise Cancelled
            if request.HasField("end_of_audio"):
                return
            yield request.audio

    def check(self) -> None:
        """Raises Cancelled if the recording that is being computed was given up."""
        if self._cancelled.is_set():
            raise Cancelled

    def _read(self) -> None:
        while True:
            try:
                kind, payload = read_blocking(self._stream)
            except EOFError:
                os._exit(0)
            if kind == Kind.CANCEL:
                self._cancelled.set()
                self._requests.put(None)
                continue
            request = DiarizeRequest.FromString(payload)
            if request.HasField("config"):
                self._cancelled.clear()
            self._requests.put(request)


class Outbox:
    """Frames to the service."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def send(self, kind: Kind, message: Message) -> None:
        self._stream.write(encode(kind, message))
        self._stream.flush()


def take_standard_output() -> BinaryIO:
    """Standard output for frames alone: from here on, file descriptor 1 leads to standard error."""
    sys.stdout.flush()
    frames = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return frames
