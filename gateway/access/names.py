"""What callers are called: in logs, in limits, and by whoever vouches for them."""

# Everybody, where nobody is asked.
ANONYMOUS = "anonymous"

_MAX_CHARS = 255


def is_caller_name(text: str) -> bool:
    """Whether it may stand in logs and files: 1 to 255 printable characters, no blank at either end."""
    return 0 < len(text) <= _MAX_CHARS and text.isprintable() and text == text.strip()
