"""A form as it comes (multipart/form-data), without waiting for its end: Starlette's own reader keeps every file first."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeAlias

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serving.errors import InvalidRequest

FILE = "file"

# What a field may hold, and how many parts a form may have: there are fourteen fields, some with several values.
_MAX_FIELD_BYTES = 64 * 1024
_MAX_PARTS = 100

# It warns of what callers send, who are told themselves.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Field:
    """A whole field."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileStart:
    """The field `file` begins; its bytes follow. `name` is the file's, empty where it has none."""

    name: str


Piece: TypeAlias = Field | FileStart | bytes


async def pieces(content_type: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[Piece]:
    """The form's parts in their order. Raises InvalidRequest where it is no form, or is not whole."""
    reader = _Reader(_boundary(content_type))
    async for chunk in chunks:
        for piece in reader.read(chunk):
            yield piece
    if not reader.is_complete:
        raise InvalidRequest("the form ended before its last boundary")


class _Reader:
    """Collects what the parser tells of."""

    def __init__(self, boundary: bytes) -> None:
        self.is_complete = False
        self._found: list[Piece] = []
        self._parts = 0
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        # The field that is being read, and what it holds so far; None for the file.
        self._field, self._held = "", bytearray()
        self._is_file = False
        self._parser = _parser(boundary, self)

    def read(self, chunk: bytes) -> list[Piece]:
        """Raises InvalidRequest."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequest("the body is not a well-formed form (multipart/form-data)") from error
        found, self._found = self._found, []
        return found

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise InvalidRequest(f"the form has more than {_MAX_PARTS} parts")
        self._disposition = b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise InvalidRequest("a part of the form has no name")
        self._field = _text(options[b"name"])
        self._is_file = self._field == FILE
        if self._is_file:
            self._found.append(FileStart(_text(options.get(b"filename", b""))))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._found.append(data[start:end])
            return
        self._held += data[start:end]
        if len(self._held) > _MAX_FIELD_BYTES:
            raise InvalidRequest(f"a field may hold {_MAX_FIELD_BYTES:,} bytes", field=self._field)

    def on_part_end(self) -> None:
        if not self._is_file:
            self._found.append(Field(self._field, _text(self._held)))
            self._held.clear()

    def on_end(self) -> None:
        self.is_complete = True


def _parser(boundary: bytes, reader: _Reader) -> MultipartParser:
    """Raises InvalidRequest."""
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": reader.on_part_begin,
                "on_header_field": reader.on_header_field,
                "on_header_value": reader.on_header_value,
                "on_header_end": reader.on_header_end,
                "on_headers_finished": reader.on_headers_finished,
                "on_part_data": reader.on_part_data,
                "on_part_end": reader.on_part_end,
                "on_end": reader.on_end,
            },
        )
    except FormParserError as error:
        raise InvalidRequest("the form's boundary is too long") from error


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise InvalidRequest("the body must be a form: Content-Type multipart/form-data, with its boundary")
    return options[b"boundary"]


def _text(held: bytes | bytearray) -> str:
    return held.decode(errors="replace")
