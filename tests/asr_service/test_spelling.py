"""Tokens of every family's vocabulary become words; nothing that was said is lost."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_service.engines.base import Family, Token
from asr_service.spelling import spell


def spelled(*pieces: str | bytes, family: Family = "whisper") -> tuple[str, list[str]]:
    tokens = [Token(piece if isinstance(piece, bytes) else piece.encode()) for piece in pieces]
    text, words = spell(tokens, family)
    return text, [word.text for word in words]


@pytest.mark.parametrize(
    ("family", "pieces", "text", "words"),
    [
        ("whisper", (" I", "'m", " orig", "inally", " here", "."), "I'm originally here.", ["I'm", "originally", "here."]),
        ("transducer", (" HE", "LL", "O", " WORLD"), "HELLO WORLD", ["HELLO", "WORLD"]),
        ("nemo-ctc", ("▁twenty", "▁", "first"), "twenty first", ["twenty", "first"]),
        ("moonshine", ("▁don", "'", "t", "▁go", "<unk>", "</s>"), "don't go", ["don't", "go"]),
        ("sense-voice", ("<|zh|>", "你", "好", "。", "▁good"), "你好。 good", ["你", "好。", "good"]),
        ("paraformer", ("hel@@", "lo", "你", "们", "world"), "hello 你们world", ["hello", "你", "们", "world"]),
        ("whisper", (" the", "--", " this"), "the-- this", ["the--", "this"]),
        ("whisper", (" well", " -", " yes"), "well - yes", ["well-", "yes"]),
        ("whisper", (" ...", " so"), "... so", ["...so"]),
        ("whisper", (" R", " &", " B", " 5", "%"), "R & B 5%", ["R", "&", "B", "5%"]),
        ("whisper", (" “", "Yes", "”", ","), "“Yes”,", ["“Yes”,"]),
        ("whisper", (" ♪",), "♪", []),
        ("whisper", ("今日", "は", "、", "いい"), "今日は、いい", ["今", "日", "は、", "い", "い"]),
        ("whisper", (" 안녕", "하세요"), "안녕하세요", ["안녕하세요"]),
        ("whisper", (" e\u0301", "te\u0301"), "e\u0301te\u0301", ["e\u0301te\u0301"]),
    ],
)  # fmt: skip
def test_spells(family: Family, pieces: tuple[str, ...], text: str, words: list[str]) -> None:
    assert spelled(*pieces, family=family) == (text, words)


def test_pieces_of_characters_come_together() -> None:
    city = " Zürich".encode()
    assert spelled(city[:3], city[3:]) == ("Zürich", ["Zürich"])
    assert spelled(b" \xe4", b"\xbd\xa0\xe5", b"\xa5\xbd") == ("你好", ["你", "好"])


def test_broken_characters_are_dropped() -> None:
    assert spelled(b" caf\xc3", b" au", b"\xff") == ("caf au", ["caf", "au"])


def test_words_know_their_tokens_without_punctuation() -> None:
    _, words = spell([Token(piece) for piece in (b" Chi", b"cago", b".", b" Oh", b",")], "whisper")
    assert [word.tokens for word in words] == [(0, 1), (3,)]


def test_a_character_belongs_to_the_token_that_begins_it() -> None:
    _, words = spell([Token(b" \xe4"), Token(b"\xbd\xa0"), Token("好".encode())], "whisper")
    assert [word.tokens for word in words] == [(0,), (2,)]


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="<>▁@"), max_size=6), max_size=12),
    st.lists(st.integers(1, 30), max_size=12),
)
def test_no_letter_is_lost_wherever_tokens_split(texts: list[str], cuts: list[int]) -> None:
    whole = " ".join(texts).encode()
    bounds = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    tokens = [Token(whole[start:end]) for start, end in itertools.pairwise(bounds)]
    text, words = spell(tokens, "whisper")
    letters = [character for character in " ".join(texts) if character.isalnum()]
    assert [character for character in text if character.isalnum()] == letters
    assert [character for word in words for character in word.text if character.isalnum()] == letters
    assert all(word.text and not any(character.isspace() for character in word.text) for word in words)
    owners = [index for word in words for index in word.tokens]
    assert owners == sorted(owners)
