"""Whether an Ogg file ends where a page does (RFC 3533): all it says about being whole. FFmpeg keeps silent about it."""

from collections.abc import Callable

_FIXED_HEADER = 27


class OggPages:
    """Passes bytes through and follows the pages in them."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._header = bytearray()
        self._body_left = 0
        self._lost = False

    @property
    def cut_short(self) -> bool:
        """Whether what was read so far ends within a page."""
        within_header = bool(self._header) and b"OggS".startswith(self._header[:4])
        return not self._lost and (within_header or self._body_left > 0)

    def read(self, size: int) -> bytes:
        piece = self._read(size)
        self._follow(piece)
        return piece

    def _follow(self, piece: bytes) -> None:
        place = 0
        while place < len(piece) and not self._lost:
            if self._body_left:
                step = min(self._body_left, len(piece) - place)
                self._body_left -= step
            else:
                step = self._header_left()
                self._header += piece[place : place + step]
                self._check_header()
            place += step

    def _header_left(self) -> int:
        """Bytes up to the number of segments, then up to the end of their table."""
        if len(self._header) < _FIXED_HEADER:
            return _FIXED_HEADER - len(self._header)
        return _FIXED_HEADER + self._header[26] - len(self._header)

    def _check_header(self) -> None:
        if len(self._header) < _FIXED_HEADER:
            return
        if self._header[:4] != b"OggS":
            self._lost = True
        elif self._header_left() == 0:
            self._body_left = sum(self._header[_FIXED_HEADER:])
            self._header.clear()
