"""The searches of CTC models, by which they are judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from asr_service.engines.ort.gate import Tokens
from workbench.networks.vocabulary import WORD_START, pieces
from workbench.recipe import Arrays

LETTERS = " abcdefghijklmnopqrstuvwxyz'"
"""The symbols of NeMo's English models of letters, in order."""


def word_pieces(tokens: int) -> tuple[str, ...]:
    """The symbols of a NeMo model of so many."""
    return "<unk>", *pieces(tokens - 1)


@dataclass(frozen=True)
class BestPath:
    """Of log-probabilities [B, T, symbols + 1], blank being the last: without repetitions and blanks."""

    output: str
    symbols: Sequence[str]

    def tokens(self, outputs: Arrays) -> Tokens:
        paths = outputs[self.output].argmax(axis=2).tolist()
        return [[token for token, _ in groupby(path) if token < len(self.symbols)] for path in paths]

    def text(self, tokens: Sequence[int]) -> str:
        return spelled(self.symbols, tokens)


@dataclass(frozen=True)
class Collapsed:
    """Tokens [B, T] that the network has collapsed itself, negative numbers behind them."""

    output: str
    symbols: Sequence[str]

    def tokens(self, outputs: Arrays) -> Tokens:
        return [row[row >= 0].tolist() for row in outputs[self.output]]

    def text(self, tokens: Sequence[int]) -> str:
        return spelled(self.symbols, tokens)


def spelled(symbols: Sequence[str], tokens: Sequence[int]) -> str:
    return "".join(symbols[token] for token in tokens).replace(WORD_START, " ")
