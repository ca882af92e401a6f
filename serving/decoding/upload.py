"""The upload's bytes, counted."""

from collections.abc import Callable

from serving.decoding.connection import Connection
from serving.errors import RecordingTooLong


class UploadReader:
    """Blocking. `on_dry` is called before a longer wait: the moment to hand over what is half done."""

    def __init__(self, connection: Connection, max_bytes: int, on_dry: Callable[[], None]) -> None:
        self._connection = connection
        self._max_bytes = max_bytes
        self._on_dry = on_dry
        self.bytes_read = 0

    def read(self, size: int) -> bytes:
        """What is there, 1 to `size` bytes; waits for the first. Empty at the end. Raises RecordingTooLong."""
        if self._connection.is_dry():
            self._on_dry()
        piece = self._connection.receive(size)
        self.bytes_read += len(piece)
        if self.bytes_read > self._max_bytes:
            raise RecordingTooLong(
                f"the upload is larger than the {self._max_bytes:,} bytes that this service takes; "
                "send it in parts, or its sound without pictures",
                field="audio",
            )
        return piece
