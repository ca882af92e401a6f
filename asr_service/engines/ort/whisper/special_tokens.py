"""Whisper's tokens: those that are text, and what a decode begins and ends with."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from asr_service.engines.ort.stages import Integers
from asr_service.engines.tokens import read_tokens

_LANGUAGE_PLACE = 1


@dataclass(frozen=True)
class SpecialTokens:
    """As sherpa-onnx's exports write them into the encoder's metadata."""

    start: int
    end: int
    prompt: tuple[int, ...]
    """Start, for multilingual models a language and the task, and that no timestamps are wanted."""
    languages: Mapping[str, int]
    """By code; empty for a model of English alone, whose prompt has no language."""

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """`metadata` have passed `asr_service.engines.checks`."""
        prompt = (*_numbers(metadata["sot_sequence"]), int(metadata["no_timestamps"]))
        return cls(int(metadata["sot"]), int(metadata["eot"]), prompt, _languages(metadata))

    def prompts(self, languages: Sequence[str]) -> Integers:
        """One a row, each in its own language; shape (rows, tokens)."""
        rows = np.tile(np.array(self.prompt, np.int64), (len(languages), 1))
        if self.languages:
            rows[:, _LANGUAGE_PLACE] = [self.languages[language] for language in languages]
        return rows


def _languages(metadata: Mapping[str, str]) -> dict[str, int]:
    if metadata["is_multilingual"] == "0":
        return {}
    codes = (code.strip() for code in metadata["all_language_codes"].split(","))
    return dict(zip(codes, _numbers(metadata["all_language_tokens"]), strict=True))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def read_texts(tokens: Path, metadata: Mapping[str, str]) -> dict[int, bytes]:
    """What each token of a table in base64 stands for; nothing for special tokens, which the table leaves out."""
    table = {token: base64.b64decode(symbol) for token, symbol in read_tokens(tokens).items()}
    return dict.fromkeys(range(int(metadata["n_vocab"])), b"") | table
