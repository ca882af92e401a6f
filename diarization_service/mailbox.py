"""A worker process's ends of the pipes to its service."""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, NoReturn

from google.protobuf.message import Message

from diarization_service.frames import NO_RECORDING, Frame, Kind, encode, read_blocking
from serving import logs

# Often enough that many of them fit into what a service waits.
_ALIVE_SECONDS = 1.0

_log = logs.get_logger(__name__)


class Inbox:
    """Frames from the service, read by a thread of its own. The process ends where the service does, or reading breaks."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._receive: Callable[[Frame], None] | None = None

    def start(self) -> None:
        """From now on, also while models load, the process does not outlive its service."""
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def deliver(self, receive: Callable[[Frame], None]) -> None:
        """Has `receive` called with each frame, in the reading thread; to be said before the service may send any."""
        self._receive = receive

    def _read(self) -> NoReturn:
        try:
            while True:
                frame = read_blocking(self._stream)
                if self._receive is not None:
                    self._receive(frame)
        except EOFError:
            os._exit(0)
        except Exception:  # noqa: BLE001  nobody would hear of it, and the service would wait for ever
            _log.exception("the inbox broke")
            os._exit(1)


class Outbox:
    """Frames to the service, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._writing = threading.Lock()

    def send(self, kind: Kind, recording: int = NO_RECORDING, message: Message | None = None) -> None:
        frame = encode(kind, recording, message)
        with self._writing:
            self._stream.write(frame)
            self._stream.flush()

    def keep_alive(self) -> None:
        """From now on says every second that the process runs, by which its service tells hard work from none."""
        threading.Thread(target=self._tell_alive, name="alive", daemon=True).start()

    def _tell_alive(self) -> None:
        # The service may have gone; the inbox ends the process then.
        with suppress(OSError):
            while True:
                time.sleep(_ALIVE_SECONDS)
                self.send(Kind.ALIVE)


def take_standard_output() -> BinaryIO:
    """Standard output for frames alone: from here on, file descriptor 1 leads to standard error."""
    sys.stdout.flush()
    frames = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return frames
