"""An upload's bytes as FFmpeg is to read them: as they come, or kept on disk where it must seek."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from serving.decoding.head import (
    HeadReader,
    index_comes_late,
    is_fragmented,
    is_iso_media,
    promised_seconds,
)
from serving.decoding.ogg import OggPages
from serving.disk import disk_errors
from serving.errors import InvalidAudio

READ_BYTES = 32 * 1024


class Readable(Protocol):
    """Seekable where it has seek and tell."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Source:
    """What FFmpeg gets, and what the first bytes told that it will not tell."""

    file: Readable
    # How much FFmpeg reads to find out about the streams, before the first sound comes out.
    probe_bytes: int
    iso_media: bool
    # Whether the container's header speaks of the whole recording, and not of its first piece only.
    header_is_whole: bool
    # Seconds of sound, where FFmpeg does not read them from the header.
    promised: float | None


@contextmanager
def prepared(
    read: Callable[[int], bytes], *, max_probe_bytes: int, directory: Path | None
) -> Iterator[Source]:
    """Look at the first bytes, and read on to the end of the upload after the recording was decoded.

    `read` blocks, and returns nothing at the end; `directory` is where a file goes that must be kept whole, by default the
    system's place for temporary files. Raises InvalidAudio (no bytes; an Ogg file that is cut short) and Unavailable (no
    room for what must be kept).
    """
    head = HeadReader(read)
    if not head.peek(1):
        raise InvalidAudio("the upload holds no bytes; send the recording before end_of_audio")
    iso_media = is_iso_media(head)
    whole = not (iso_media and is_fragmented(head))
    promised = promised_seconds(head)
    probe_bytes = min(_probe_bytes(head.peek(4)), max_probe_bytes)
    if iso_media and index_comes_late(head):
        with _kept(head, directory) as file:
            yield Source(file, probe_bytes, iso_media, whole, promised)
    elif head.peek(4) == b"OggS":
        pages = OggPages(head.read)
        yield Source(pages, probe_bytes, iso_media, whole, promised)
        _drain(pages)
        if pages.cut_short:
            raise InvalidAudio(
                "the recording is cut short: it ends within a page of Ogg; send the whole file"
            )
    else:
        yield Source(head, probe_bytes, iso_media, whole, promised)
        _drain(head)


def _probe_bytes(start: bytes) -> int:
    if start in {b"RIFF", b"RF64", b"FORM"}:  # the header says it all
        return 8 * 1024
    if start[:1] == b"G" or start == b"\0\0\1\xba":  # MPEG streams: sound turns up between a video's pictures
        return 2 * 1024 * 1024
    return 64 * 1024


def _drain(file: Readable) -> None:
    """What follows the sound is of no interest, but that the upload comes to its proper end is."""
    while file.read(READ_BYTES):
        pass


@contextmanager
def _kept(head: HeadReader, directory: Path | None) -> Iterator[Readable]:
    """All of the upload, in a temporary file that no directory lists."""
    with ExitStack() as stack:
        with disk_errors("the service"):
            file = stack.enter_context(tempfile.TemporaryFile(dir=directory))
            while piece := head.read(READ_BYTES):
                file.write(piece)
            file.seek(0)
        yield file
