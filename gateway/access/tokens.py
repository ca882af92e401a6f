"""Tokens that an operator hands out. The gateway is told their SHA-256 only, one "NAME: HASH" a line.

A token holds 256 random bits: nobody finds it by trying, however fast a hash is. Slow and salted hashes are for what
people choose, and would cost every call what they cost an attacker.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from gateway.access.names import is_caller_name

# Lets scanners for leaked secrets know one.
PREFIX = "duoscribe_"

_RANDOM_BYTES = 32
_HASH = re.compile(r"[0-9a-f]{64}")


def new_token() -> str:
    return PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def line_for(name: str, token: str) -> str:
    """What the file of tokens says of it."""
    return f"{name}: {_digest(token)}"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Callers' names and the hashes of their tokens; a caller with two lines has two tokens that count."""

    hashes: tuple[tuple[str, str], ...]
    names: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> "Tokens":
        """Empty lines and those that begin with # say nothing. Raises ValueError, which names the line by its number."""
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
        hashes = tuple(_entry(number, line) for number, line in lines if line and not line.startswith("#"))
        return cls(hashes, frozenset(name for name, _ in hashes))

    def caller(self, token: str) -> str | None:
        """Whose token it is. Takes as long for any token: all hashes are compared, each as a whole."""
        given, found = _digest(token), None
        for name, known in self.hashes:
            if hmac.compare_digest(given, known):
                found = name
        return found


def _entry(number: int, line: str) -> tuple[str, str]:
    # Names may hold colons, as URIs do.
    name, _, known = (part.strip() for part in line.rpartition(":"))
    if not is_caller_name(name) or not _HASH.fullmatch(known):
        raise ValueError(f"line {number} is not NAME: HASH, as `duoscribe tokens new NAME` writes it")
    return name, known


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
