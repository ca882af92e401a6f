"""From a model's tokens to written words, whatever its vocabulary: pure, no times.

Word pieces mark word starts with a space (or its stand-in "▁"), Paraformer marks those that go on with "@@",
byte-level vocabularies split characters, and Chinese and Japanese put no space between words at all.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asr_service.engines.base import Family, Token

_SPECIAL = re.compile(rb"^\s*<[^<>\s]+>$")  # <unk>, <|nospeech|>, </s>; a spoken "<" stands alone
_WORD_START = "▁".encode()
_GOES_ON = b"@@"
_SPOKEN_SYMBOLS = frozenset("&%+=@#$€£")
# CJK ideographs with their extensions and compatibility forms, kana; Hangul is written with spaces.
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class SpelledWord:
    text: str
    """With the punctuation around it, without spaces."""
    tokens: tuple[int, ...]
    """Indices of the tokens that it is made of, punctuation left out."""


@dataclass(frozen=True)
class _Character:
    text: str
    token: int

    @property
    def is_space(self) -> bool:
        return self.text.isspace()

    @property
    def is_spoken(self) -> bool:
        return (
            self.text.isalnum() or self.text in _SPOKEN_SYMBOLS or unicodedata.category(self.text)[0] == "M"
        )

    @property
    def is_unspaced(self) -> bool:
        return bool(_UNSPACED.match(self.text))


def spell(tokens: Sequence[Token], family: Family) -> tuple[str, list[SpelledWord]]:
    """The text with the model's own spacing, and its words in order. No letter of the text is in no word."""
    characters = _characters([as_written(token.text, family) for token in tokens])
    text = " ".join("".join(character.text for character in characters).split())
    words: list[SpelledWord] = []
    opening = ""  # punctuation that waits for the word after it
    for run in _runs(characters):
        written = "".join(character.text for character in run)
        spoken = tuple(dict.fromkeys(character.token for character in run if character.is_spoken))
        if spoken:
            words.append(SpelledWord(opening + written, spoken))
            opening = ""
        elif words:
            words[-1] = SpelledWord(words[-1].text + written, words[-1].tokens)
        else:
            opening += written
    return text, words


def as_written(token: bytes, family: Family) -> bytes:
    """The token as it adds to a running text in which spaces part the words."""
    if _SPECIAL.match(token):
        return b""
    if family != "paraformer":
        return token.replace(_WORD_START, b" ")
    if token.endswith(_GOES_ON):
        return token.removesuffix(_GOES_ON)
    return token + b" " if token.isascii() else token


def _characters(pieces: Sequence[bytes]) -> list[_Character]:
    """Characters of the joined bytes, each owned by the token that holds its first byte; broken ones are dropped."""
    text = b"".join(pieces).decode("utf-8", "surrogateescape")
    owners = [index for index, piece in enumerate(pieces) for _ in piece]
    characters: list[_Character] = []
    position = 0
    for character in text:
        if not "\ud800" <= character <= "\udfff":
            characters.append(_Character(character, owners[position]))
        position += len(character.encode("utf-8", "surrogateescape"))
    return characters


def _runs(characters: Sequence[_Character]) -> Iterator[list[_Character]]:
    """Characters that stand together: between spaces, and one by one where the script has no spaces."""
    run: list[_Character] = []
    for character in characters:
        if character.is_space:
            if run:
                yield run
            run = []
        elif run and _starts_word(run, character):
            yield run
            run = [character]
        else:
            run.append(character)
    if run:
        yield run


def _starts_word(run: Sequence[_Character], character: _Character) -> bool:
    """Whether a script without spaces begins or ends here; punctuation stays with what it follows."""
    spoken = [before for before in run if before.is_spoken]
    if not spoken or not character.is_spoken:
        return False
    return character.is_unspaced or spoken[-1].is_unspaced
