"""Recordings in one file, for machines that can neither download nor decode them.

    python -m benchmarks.packing FILE.npz

Holds the sample, the meetings, and the phrases that conversations of any length are joined from.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.conversations import Conversation, converse
from benchmarks.corpus import MEETING_NAMES, Samples, meeting, sample
from benchmarks.voices import PHRASES, VOICES, Phrase, Voice, spoken

Read = Callable[[str], Samples]


def write(path: Path) -> None:
    recordings = {name: fetched(name) for name in ("sample", *MEETING_NAMES)}
    phrases = {_key(voice, phrase): spoken(voice, phrase) for voice, phrase in _phrases()}
    np.savez_compressed(path, allow_pickle=False, **recordings, **phrases)


def fetched(name: str) -> Samples:
    """The sample or a meeting, from where the corpus has it."""
    return (sample() if name == "sample" else meeting(name)).samples


class Pack:
    """What `write` wrote."""

    def __init__(self, path: Path) -> None:
        self._arrays = np.load(path)

    def recording(self, name: str) -> Samples:
        """The sample or a meeting, by its name."""
        samples: Samples = self._arrays[name]
        return samples

    def converse(self, seconds: float, speakers: int, seed: int) -> Conversation:
        """As benchmarks.conversations has it."""
        phrases = {key: self._arrays[key] for key in self._arrays.files}
        return converse(seconds, speakers, seed, say=lambda voice, phrase: phrases[_key(voice, phrase)])


def _phrases() -> Iterator[tuple[Voice, Phrase]]:
    return ((voice, phrase) for voice in VOICES for phrase in PHRASES[voice.reader])


def _key(voice: Voice, phrase: Phrase) -> str:
    return f"{voice.name} {PHRASES[voice.reader].index(phrase)}"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
