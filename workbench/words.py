"""Words as recognition is scored by them, and how far two texts are apart."""

import re
from collections.abc import Sequence

from asr_service.engines.ort.gate import edits

_SPELLINGS = {
    "mr": "mister",
    "mrs": "missus",
    "ok": "okay",
}


def words(text: str) -> list[str]:
    """Lower case, without punctuation; hyphens part words."""
    letters = re.sub(r"[^a-z' ]", " ", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return [_SPELLINGS.get(word, word) for word in letters.split()]


def word_error_rate(references: Sequence[str], heard: Sequence[str]) -> float:
    """Words that were substituted, deleted or inserted, over those of the references: all texts together, in percent."""
    pairs = [(words(one), words(other)) for one, other in zip(references, heard, strict=True)]
    total = sum(len(reference) for reference, _ in pairs)
    return 100.0 * sum(edits(*pair) for pair in pairs) / max(total, 1)
