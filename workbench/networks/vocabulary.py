"""Token tables with pieces that can be told apart and read aloud."""

from collections.abc import Iterator, Sequence
from itertools import count, islice, product
from pathlib import Path

WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"
"""SentencePiece's mark of a piece that begins a word."""

_SYLLABLES = tuple(consonant + vowel for consonant in "bdfghjklmnprstvwz" for vowel in "aeiou")


def pieces(size: int) -> tuple[str, ...]:
    """So many different pieces, every second of which begins a word."""
    return tuple(islice(_pieces(), size))


def write_tokens(symbols: Sequence[str], directory: Path, *, name: str = "tokens.txt") -> None:
    """Writes "symbol id" a line."""
    lines = (f"{symbol} {number}\n" for number, symbol in enumerate(symbols))
    (directory / name).write_text("".join(lines), encoding="utf-8")


def _pieces() -> Iterator[str]:
    for length in count(1):
        for syllables in product(_SYLLABLES, repeat=length):
            piece = "".join(syllables)
            yield from (WORD_START + piece, piece)
