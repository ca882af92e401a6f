"""What the first bytes of an upload say, as far as FFmpeg does not tell when it cannot seek.

Whether an MP4's index comes before its sound, and how much sound a WAV or MP3 header promises.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Boxes, chunks and tags are looked for within so many bytes.
_LOOK_AHEAD_BYTES = 1024 * 1024

# Box types that an ISO base media file (MP4, M4A, MOV, 3GP) may begin with.
_FIRST_BOXES = {b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}

# Writers to a pipe do not know the size and leave 0, or about the largest number they can write.
_UNKNOWN_SIZE_FROM = 0x7FFF_0000


class HeadReader:
    """Reads a stream of bytes, of which the first can be looked at beforehand."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._head = bytearray()

    def peek(self, size: int, start: int = 0) -> bytes:
        """`size` bytes from `start` on, fewer where the stream or the look-ahead ends; only before the first read."""
        while len(self._head) < min(start + size, _LOOK_AHEAD_BYTES):
            piece = self._read(_LOOK_AHEAD_BYTES - len(self._head))
            if not piece:
                break
            self._head += piece
        return bytes(self._head[start : start + size])

    def read(self, size: int) -> bytes:
        if not self._head:
            return self._read(size)
        piece = bytes(self._head[:size])
        del self._head[:size]
        return piece


def is_iso_media(head: HeadReader) -> bool:
    return head.peek(8)[4:8] in _FIRST_BOXES


def index_comes_late(head: HeadReader) -> bool:
    """Whether an ISO media file must be there as a whole before it can be decoded (ISO/IEC 14496-12, 4.2)."""
    for box in _boxes(head, 0):
        if box.name in {b"moov", b"moof"}:
            return False
        if box.name == b"mdat":
            return True
    return True


def is_fragmented(head: HeadReader) -> bool:
    """Whether an ISO media file's index says nothing of its sound: that is announced piece by piece (8.8.1)."""
    for box in _boxes(head, 0):
        if box.name == b"moov":
            return any(inner.name == b"mvex" for inner in _boxes(head, box.body, box.end))
        if box.name == b"mdat":
            return False
    return False


@dataclass(frozen=True)
class _Part:
    """A box or a chunk: its name, and where its body begins and ends."""

    name: bytes
    body: int
    end: int


def _boxes(head: HeadReader, start: int, end: int = _LOOK_AHEAD_BYTES) -> Iterator[_Part]:
    while start < end and len(header := head.peek(16, start)) >= 8:
        size, length = int.from_bytes(header[:4], "big"), 8
        if size == 1:
            size, length = int.from_bytes(header[8:16], "big"), 16
        if size < length:  # 0: up to the end of the file
            size = _LOOK_AHEAD_BYTES
        yield _Part(header[4:8], start + length, start + size)
        start += size


def promised_seconds(head: HeadReader) -> float | None:
    """Length according to a WAV's or an MP3's header, if it is one and says."""
    start = head.peek(12)
    if start[8:] == b"WAVE":
        return _wav_seconds(head)
    if start[:3] == b"ID3" or start[:1] == b"\xff":
        return _mp3_seconds(head)
    return None


def _wav_seconds(head: HeadReader) -> float | None:
    """RIFF and RF64 (EBU Tech 3306): the data chunk's size over the format chunk's bytes a second."""
    bytes_per_second = 0
    long_size = None
    for chunk in _chunks(head):
        body = head.peek(16, chunk.body)
        if chunk.name == b"ds64":
            long_size = int.from_bytes(body[8:16], "little")
        elif chunk.name == b"fmt ":
            bytes_per_second = int.from_bytes(body[8:12], "little")
        elif chunk.name == b"data":
            size = chunk.end - chunk.body if long_size is None else long_size
            known = long_size is not None or 0 < size < _UNKNOWN_SIZE_FROM
            return size / bytes_per_second if known and bytes_per_second else None
    return None


def _chunks(head: HeadReader) -> Iterator[_Part]:
    start = 12
    while len(header := head.peek(8, start)) == 8:
        size = int.from_bytes(header[4:], "little")
        yield _Part(header[:4], start + 8, start + 8 + size)
        start += 8 + size + size % 2


def _mp3_seconds(head: HeadReader) -> float | None:
    """The count of frames in the first one's Xing or Info tag, which every usual encoder writes."""
    frame = head.peek(64, _mp3_start(head))
    if len(frame) < 64 or frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2:  # a frame of layer III
        return None
    # MPEG 1, or one of its extensions to lower rates, whose frames are half as long.
    version, rate_index = frame[1] >> 3 & 3, frame[2] >> 2 & 3
    if version == 1 or rate_index == 3:  # reserved
        return None
    rate = (44_100, 48_000, 32_000)[rate_index] // {3: 1, 2: 2, 0: 4}[version]
    # The tag follows the frame's header (4 bytes) and side information (9 to 32 bytes).
    place = max(frame.find(name, 4, 40) for name in (b"Xing", b"Info"))
    if place < 0 or not frame[place + 7] & 1:
        return None
    return int.from_bytes(frame[place + 8 : place + 12], "big") * (1152 if version == 3 else 576) / rate


def _mp3_start(head: HeadReader) -> int:
    """Where the first frame is: behind the ID3v2 tag, if there is one."""
    tag = head.peek(10)
    if tag[:3] != b"ID3":
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:10], (21, 14, 7, 0), strict=True))
