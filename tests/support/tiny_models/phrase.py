"""What the tiny models say: one piece of a fixed phrase for each burst of sound that they hear."""

import base64
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"
"""SentencePiece's mark of a piece that begins a word."""

PIECES = ("▁good", "▁mor", "ning", "▁every", "body", "▁here")
"""The phrase, in order; after the last piece it begins again."""

RIVAL = 1.0
"""Logit of what stands against a piece: blank, or the end of the text. Everything else has logit 0."""


def strength(piece: int) -> float:
    """Logit of `PIECES[piece]` where it is heard; each its own, so that mixed-up confidences show."""
    return 3.0 + 0.5 * piece


def words(bursts: int, *, shift: int = 0) -> list[tuple[str, tuple[int, ...]]]:
    """Each word said for so many bursts, with the bursts (counted from 0) that its pieces answer.

    `shift` is the piece that the phrase begins with.
    """
    found: list[tuple[str, tuple[int, ...]]] = []
    for burst in range(bursts):
        piece = PIECES[(burst + shift) % len(PIECES)]
        if piece.startswith(WORD_START) or not found:
            found.append((piece.removeprefix(WORD_START), (burst,)))
        else:
            text, members = found[-1]
            found[-1] = (text + piece, (*members, burst))
    return found


@dataclass(frozen=True)
class Vocabulary:
    """A family's tokens.txt: its own special symbols around the pieces of the phrase."""

    before: tuple[str, ...]
    pieces: tuple[str, ...]
    after: tuple[str, ...] = ()

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.before + self.pieces + self.after

    def __len__(self) -> int:
        return len(self.symbols)

    def id(self, symbol: str) -> int:
        return self.symbols.index(symbol)

    def piece_id(self, burst: int) -> int:
        """Token of the piece that answers the burst of this number."""
        return len(self.before) + burst % len(self.pieces)

    def probability(self, burst: int) -> float:
        """Softmax of a piece's logit against its rival's and everybody else's 0."""
        own = math.exp(strength(burst % len(self.pieces)))
        return own / (own + math.exp(RIVAL) + len(self) - 2)

    def projection(self, slots: int, *, shift: int = 0) -> npt.NDArray[np.float32]:
        """Output weights, [slots, vocabulary]: row i holds the logit of the piece that answers burst i."""
        weights = np.zeros((slots, len(self)), np.float32)
        for slot in range(slots):
            burst = slot + shift
            weights[slot, self.piece_id(burst)] = strength(burst % len(self.pieces))
        return weights

    def bias(self, rival: str) -> npt.NDArray[np.float32]:
        """Output bias, [vocabulary], in favour of `rival`."""
        bias = np.zeros(len(self), np.float32)
        bias[self.id(rival)] = RIVAL
        return bias

    def write(self, directory: Path, *, encode: bool = False, name: str = "tokens.txt") -> None:
        """Writes tokens.txt, "symbol id" a line; `encode` turns the pieces into base64 of their text."""
        symbols = [_base64(symbol) for symbol in self.symbols] if encode else self.symbols
        lines = [f"{symbol} {number}\n" for number, symbol in enumerate(symbols)]
        (directory / name).write_text("".join(lines), encoding="utf-8")


def _base64(symbol: str) -> str:
    return base64.b64encode(symbol.replace(WORD_START, " ").encode()).decode()
