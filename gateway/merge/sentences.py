"""Where a sentence ends."""

# The last three end Chinese and Japanese sentences.
_ENDS = (".", "?", "!", "…", "\u3002", "\uff1f", "\uff01")
# Quotation marks and brackets that may stand behind them.
_CLOSING = "\"'\u2019\u201d»)]"


def ends_sentence(word: str) -> bool:
    return word.rstrip(_CLOSING).endswith(_ENDS)
