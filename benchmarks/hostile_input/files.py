"""Hostile files: recordings changed in ways that decoders have failed at, and what never was a recording."""

import random
from collections.abc import Callable, Sequence

from benchmarks.hostile_input.seeds import beginnings, bombs, recordings

# Numbers that programs add one to, multiply, or take for a length.
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF)
_BOXES = (
    b"moov",
    b"trak",
    b"mdia",
    b"minf",
    b"stbl",
    b"stsd",
    b"stsz",
    b"stts",
    b"stsc",
    b"stco",
    b"elst",
    b"mdat",
)
_NESTED = 2_000


def hostile_file(chance: random.Random) -> bytes:
    """One of them; the same for the same state of `chance`."""
    kind = chance.random()
    if kind < 0.04:
        return chance.randbytes(chance.randrange(20_000))
    if kind < 0.12:
        return chance.choice(beginnings()) + chance.randbytes(chance.randrange(20_000))
    if kind < 0.15:
        return chance.choice(bombs())
    file = chance.choice(recordings())
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        file = chance.choice(_MUTATIONS)(chance, file)
    return file


def _truncated(chance: random.Random, file: bytes) -> bytes:
    return file[: chance.randrange(len(file) + 1)]


def _bits_flipped(chance: random.Random, file: bytes) -> bytes:
    changed = bytearray(file)
    for _ in range(chance.choice((1, 4, 16, 256)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _header_flipped(chance: random.Random, file: bytes) -> bytes:
    return _bits_flipped(chance, file[:256]) + file[256:]


def _overwritten(chance: random.Random, file: bytes) -> bytes:
    start, end = _span(chance, file)
    junk = chance.randbytes(end - start) if chance.random() < 0.5 else bytes(end - start)
    return file[:start] + junk + file[end:]


def _removed(chance: random.Random, file: bytes) -> bytes:
    start, end = _span(chance, file)
    return file[:start] + file[end:]


def _repeated(chance: random.Random, file: bytes) -> bytes:
    start, end = _span(chance, file)
    return file[:end] + file[start:end] * chance.choice((1, 2, 20)) + file[end:]


def _spliced(chance: random.Random, file: bytes) -> bytes:
    other = chance.choice(recordings())
    return file[: chance.randrange(len(file) + 1)] + other[chance.randrange(len(other)) :]


def _extreme_number(chance: random.Random, file: bytes) -> bytes:
    """Mostly in the first bytes, where headers are."""
    size = chance.choice((1, 2, 4, 8))
    place = chance.randrange(max(1, min(len(file), chance.choice((64, 512, len(file) + 1)))))
    number = chance.choice(_EXTREMES) % (1 << 8 * size)
    return file[:place] + number.to_bytes(size, chance.choice(("big", "little"))) + file[place + size :]


def _wrong_box(chance: random.Random, file: bytes) -> bytes:
    """A box of an MP4, if there are any, that claims another size, or a table with more entries than there are."""
    present = [place for name in _BOXES if (place := file.find(name)) >= 4]
    if not present:
        return _extreme_number(chance, file)
    place = chance.choice(present) + chance.choice((-4, 4, 8, 12))
    return file[:place] + chance.choice(_EXTREMES).to_bytes(4, "big") + file[place + 4 :]


def _nested(chance: random.Random, file: bytes) -> bytes:
    """Boxes within boxes, before the file."""
    name = chance.choice(_BOXES[:5])
    depth = chance.randrange(1, _NESTED)
    return b"".join((8 * (depth - level)).to_bytes(4, "big") + name for level in range(depth)) + file


def _span(chance: random.Random, file: bytes) -> tuple[int, int]:
    start = chance.randrange(len(file) + 1)
    return start, min(len(file), start + chance.choice((1, 16, 512, 8_192)))


_MUTATIONS: Sequence[Callable[[random.Random, bytes], bytes]] = (
    _truncated,
    _bits_flipped,
    _header_flipped,
    _overwritten,
    _removed,
    _repeated,
    _spliced,
    _extreme_number,
    _wrong_box,
    _nested,
)
