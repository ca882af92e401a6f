"""Conversations of 2 to 6 speakers joined from recorded phrases, with silence, quick exchanges and mixed overlap.

    python -m benchmarks.conversations OUT.wav --seconds 600 --speakers 4 [--seed 0] [--overlap 0.08]

writes the recording, and beside it who spoke when (OUT.rttm).

The references are exact: phrases lie where they were put, and their bounds were measured (benchmarks/voices.py). Words are
spread over their phrase by letters: the word that opens a phrase starts exactly, one within it to about 0.1 s.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from benchmarks.corpus import Recording, Samples, Sentence, Turn
from benchmarks.voices import MARGIN_SECONDS, PHRASES, VOICES, Phrase, Voice, spoken
from serving.times import SAMPLE_RATE

# A phrase that answers, or is said while another speaks.
_SHORT_SECONDS = 1.3
# Pauses within a turn up to this long do not divide it, as in the other references.
_LONGEST_PAUSE = 0.3
# About -72 dBFS: no microphone hears digital silence.
_ROOM = 8.0
_NOISE_BLOCK = 60 * SAMPLE_RATE


@dataclass(frozen=True)
class Manner:
    """How people talk to each other."""

    overlap: float = 0.08
    """Share of the time with speech in which two speak at once, up to 0.14; kept to as the conversation goes on."""
    quick: float = 0.3
    """Share of the turns that are one short phrase, close behind the one before."""
    silent: float = 0.05
    """Share of the turns before which nobody speaks for 2 to 6 s."""


MANNER = Manner()


@dataclass(frozen=True)
class Word:
    """One spoken word, in seconds from the recording's start."""

    start: float
    end: float
    speaker: str
    text: str
    opens: bool
    """Whether its phrase begins with it, so that its start is exact."""


@dataclass(frozen=True)
class Conversation(Recording):
    """A recording that knows its words; `sentences` are its phrases."""

    words: tuple[Word, ...] = ()

    @property
    def overlap(self) -> float:
        """Share of the time with speech in which several speak."""
        edges = sorted(
            (time, step) for turn in self.turns for time, step in ((turn.start, 1), (turn.end, -1))
        )
        depths = accumulate(step for _, step in edges)
        stretches = [
            (after - before, depth)
            for ((before, _), (after, _)), depth in zip(pairwise(edges), depths, strict=False)
        ]
        several = sum(length for length, depth in stretches if depth > 1)
        return several / sum(length for length, depth in stretches if depth)

    def rttm(self) -> str:
        """Who spoke when, in NIST's format."""
        return "".join(
            f"SPEAKER {self.name} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
            for turn in self.turns
        )


@dataclass(frozen=True)
class Placed:
    """A phrase, and when it starts, in seconds."""

    start: float
    voice: Voice
    phrase: Phrase

    @property
    def length(self) -> float:
        return self.voice.duration(self.phrase)

    @property
    def end(self) -> float:
        return self.start + self.length


Say = Callable[[Voice, Phrase], Samples]
"""As `voices.spoken`."""


def converse(
    seconds: float, speakers: int, seed: int = 0, manner: Manner = MANNER, say: Say = spoken
) -> Conversation:
    """The first `speakers` of VOICES, for at least `seconds`. The same arguments always give the same samples.

    Raises ValueError for fewer than two or more than there are.
    """
    if not 2 <= speakers <= len(VOICES):
        raise ValueError(f"a conversation has 2 to {len(VOICES)} speakers, not {speakers}")
    random = np.random.default_rng(seed)
    placed = sorted(Talk(VOICES[:speakers], manner, random).until(seconds), key=lambda one: one.start)
    words = sorted((word for one in placed for word in words_of(one)), key=lambda word: word.start)
    return Conversation(
        f"conversation-{speakers}-{seconds:g}s-{seed}",
        rendered(placed, random, say),
        tuple(turns_of(placed)),
        tuple(Sentence(one.start, one.end, one.voice.name, one.phrase.text) for one in placed),
        tuple(words),
    )


class Talk:
    """Who says what when: turns of one to four of a voice's phrases, in their order, over and over."""

    def __init__(self, voices: Sequence[Voice], manner: Manner, random: np.random.Generator) -> None:
        self._voices = voices
        self._manner = manner
        self._random = random
        self._said = dict.fromkeys(voices, 0)
        self._placed: list[Placed] = []
        self._end = 0.0
        self._spoken = 0.0
        self._overlapped = 0.0

    def until(self, seconds: float) -> list[Placed]:
        self._turn(self._voices[0])
        while self._end < seconds:
            last = self._placed[-1]
            others = [voice for voice in self._voices if voice != last.voice]
            voice = others[int(self._random.integers(len(others)))]
            if self._overlap_is_due() and last.length > 2 * _SHORT_SECONDS:
                self._speak_under(last, voice)
            else:
                self._turn(voice)
        return self._placed

    def _speak_under(self, other: Placed, voice: Voice) -> None:
        """A short phrase while the other goes on."""
        phrase = self._short(voice)
        latest = other.length - voice.duration(phrase) - 0.3
        self._place(other.start + self._between(0.3, max(0.4, latest)), voice, phrase)

    def _turn(self, voice: Voice) -> None:
        quick = self._random.random() < self._manner.quick
        phrases = [self._short(voice)] if quick else self._some(voice)
        start = self._end + self._gap(voice.duration(phrases[0]), quick=quick)
        for phrase in phrases:
            self._place(start, voice, phrase)
            start = self._placed[-1].end + self._between(0.1, 0.5)

    def _gap(self, first: float, *, quick: bool) -> float:
        """Seconds between the turn before and one whose first phrase takes `first` seconds; negative where they overlap."""
        if self._placed and self._overlap_is_due():
            return -self._between(0.2, min(1.5, 0.6 * first, 0.6 * self._placed[-1].length))
        if self._random.random() < self._manner.silent:
            return self._between(2.0, 6.0)
        return self._between(0.03, 0.25) if quick else self._between(0.1, 0.8)

    def _overlap_is_due(self) -> bool:
        return self._overlapped < self._manner.overlap * self._spoken

    def _place(self, start: float, voice: Voice, phrase: Phrase) -> None:
        placed = Placed(start, voice, phrase)
        overlapped = max(0.0, min(self._end, placed.end) - start)
        self._overlapped += overlapped
        self._spoken += placed.length - overlapped
        self._placed.append(placed)
        self._end = max(self._end, placed.end)

    def _some(self, voice: Voice) -> list[Phrase]:
        phrases = PHRASES[voice.reader]
        count = int(self._random.integers(1, 5))
        first = self._said[voice]
        self._said[voice] = first + count
        return [phrases[number % len(phrases)] for number in range(first, first + count)]

    def _short(self, voice: Voice) -> Phrase:
        by_length = sorted(PHRASES[voice.reader], key=lambda phrase: phrase.length)
        short = [phrase for phrase in by_length if phrase.length <= _SHORT_SECONDS] or by_length[:2]
        return short[int(self._random.integers(len(short)))]

    def _between(self, low: float, high: float) -> float:
        return float(self._random.uniform(low, max(low, high)))


def words_of(placed: Placed) -> Iterator[Word]:
    """Spread over the phrase by their letters."""
    texts = placed.phrase.text.split()
    bounds = list(accumulate((len(text) for text in texts), initial=0))
    scale = placed.length / bounds[-1]
    for index, (text, (start, end)) in enumerate(zip(texts, pairwise(bounds), strict=True)):
        yield Word(
            placed.start + start * scale,
            placed.start + end * scale,
            placed.voice.name,
            text,
            opens=index == 0,
        )


def turns_of(placed: Iterable[Placed]) -> list[Turn]:
    """In order of start, a voice's phrases joined over short pauses."""
    joined: list[Turn] = []
    last: dict[str, Turn] = {}
    for one in sorted(placed, key=lambda one: one.start):
        before = last.get(one.voice.name)
        start = one.start
        if before and start - before.end <= _LONGEST_PAUSE:
            joined.remove(before)
            start = before.start
        last[one.voice.name] = Turn(start, max(one.end, before.end if before else 0.0), one.voice.name)
        joined.append(last[one.voice.name])
    return sorted(joined, key=lambda turn: turn.start)


def rendered(placed: Sequence[Placed], random: np.random.Generator, say: Say) -> Samples:
    """The phrases added up over the noise of a room, which goes on for a second behind them."""
    samples = np.zeros(round((max(one.end for one in placed) + 1.0) * SAMPLE_RATE), np.int16)
    for start in range(0, len(samples), _NOISE_BLOCK):
        block = samples[start : start + _NOISE_BLOCK]
        block[:] = random.normal(0, _ROOM, len(block)).astype(np.int16)
    for one in placed:
        audio = say(one.voice, one.phrase)
        start = round((one.start - MARGIN_SECONDS) * SAMPLE_RATE)
        there = samples[start : start + len(audio)]
        there[:] = np.clip(there.astype(np.int32) + audio[: len(there)], -32768, 32767)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="WAV file to write")
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--speakers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--overlap", type=float, default=MANNER.overlap, help="share of the speech")
    arguments = parser.parse_args()
    manner = Manner(overlap=arguments.overlap)
    conversation = converse(arguments.seconds, arguments.speakers, arguments.seed, manner)
    conversation.write_wav(arguments.out)
    arguments.out.with_suffix(".rttm").write_text(conversation.rttm(), encoding="utf-8")
    print(
        f"{conversation.seconds:.1f} s, {len(conversation.turns)} turns, {len(conversation.words)} words,"
        f" overlap {conversation.overlap:.1%}"
    )


if __name__ == "__main__":
    main()
