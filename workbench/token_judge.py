"""Judges recognisers by what they say: the tokens and the words that a search finds in an encoder's outputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from asr_service.engines.ort.gate import Tokens, token_agreement
from workbench.recipe import Arrays, Verdict
from workbench.words import word_error_rate, words

AGREEMENT_OF_RANDOM_WEIGHTS = 0.5
"""Nobody trained them, so many decisions are near ties, which the rounding of half precision turns."""
ENOUGH = 20
"""Expected tokens from which on their agreement means something: of two, one may fall."""
_MORE_ERRORS = 0.01
"""Words that may be wrong beside those that the expected outputs have wrong; one word always may."""


class Search(Protocol):
    def tokens(self, outputs: Arrays) -> Tokens:
        """What each row of an encoder's outputs says."""

    def text(self, tokens: Sequence[int]) -> str: ...


@dataclass(frozen=True)
class TokenJudge:
    search: Callable[[], Search]
    """Makes the search, or gives the one that was made; first called when outputs are judged."""
    least_agreement: float
    """Share of tokens that have to be those of the expected outputs, where these are enough."""
    texts: Callable[[Arrays], Sequence[str]] | None = None
    """What is said in each row of inputs, empty where nobody knows: for weights that were trained."""

    def __call__(self, inputs: Arrays, expected: Arrays, outputs: Arrays) -> list[Verdict]:
        search = self.search()
        wanted, got = search.tokens(expected), search.tokens(outputs)
        wanted_texts, got_texts = ([search.text(row) for row in rows] for rows in (wanted, got))
        count = sum(map(len, wanted))
        least = self.least_agreement if count >= ENOUGH else None
        return [
            Verdict("expected tokens", count),
            Verdict("token agreement", token_agreement(wanted, got), least, at_least=True),
            Verdict("WER against expected words, %", word_error_rate(wanted_texts, got_texts)),
            *(_against_texts(self.texts(inputs), wanted_texts, got_texts) if self.texts else ()),
        ]


def _against_texts(texts: Sequence[str], expected: Sequence[str], got: Sequence[str]) -> list[Verdict]:
    """Of the rows whose words are known; none where there is no such row."""
    known = [row for row in zip(texts, expected, got, strict=True) if row[0]]
    if not known:
        return []
    right, wanted, heard = zip(*known, strict=True)
    reference = word_error_rate(right, wanted)
    more = 100.0 * max(_MORE_ERRORS, 1 / sum(len(words(text)) for text in right))
    return [
        Verdict("expected WER against the texts, %", reference),
        Verdict("WER against the texts, %", word_error_rate(right, heard), reference + more),
    ]
