"""Token tables: tokens.txt and vocab.txt."""

import re
from collections.abc import Mapping
from pathlib import Path

from serving.errors import ModelUnavailable

_WORD_START = "\N{LOWER ONE EIGHTH BLOCK}".encode()
_BYTE = re.compile(rb"<0x([0-9A-F]{2})>")


def read_tokens(path: Path) -> dict[int, bytes]:
    """The symbols by id: "symbol id" a line, or an id alone where the symbol is a space. Raises ModelUnavailable."""
    table: dict[int, bytes] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) > 2 or not fields[-1].isdigit():
            raise ModelUnavailable(f'{path}, line {number}: expected "symbol id"; fetch the model again')
        table[int(fields[-1])] = fields[0] if len(fields) == 2 else b" "
    if not table:
        raise ModelUnavailable(f"{path} is empty; fetch the model again")
    return table


def token_texts(table: Mapping[int, bytes]) -> dict[int, bytes]:
    """What tokens stand for: SentencePiece's mark at the beginning is a space, <0xE4> the byte of that number."""
    return {token: _text(symbol) for token, symbol in table.items()}


def _text(symbol: bytes) -> bytes:
    if byte := _BYTE.fullmatch(symbol):
        return bytes.fromhex(byte[1].decode())
    if symbol.startswith(_WORD_START):
        return b" " + symbol.removeprefix(_WORD_START)
    return symbol
