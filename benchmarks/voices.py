"""Six voices and what they say: phrases without a pause, cut from recordings whose text is known.

Each phrase's bounds were measured on its recording, where the voice rises above the room, to 10 ms. Three voices were
recorded: the readers of benchmarks/corpus.py, and a lecturer (Silero's test recording; its words were written down here).
The others are theirs at another speed, which moves pitch and formants and makes other people of them for speaker
recognition ("Speaker augmentation and bandwidth extension for deep speaker embedding", Yamamoto et al., Interspeech 2019):
WeSpeaker's embeddings of a voice and of itself at 0.85 or 1.18 times the speed have a cosine of 0.3 to 0.45, those of two
halves of what a voice says 0.83 and more.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.corpus import (
    BECKETT,
    CITIES,
    LIBRIVOX,
    READERS,
    Samples,
    read_audio,
    recordings_folder,
    to_int16,
)
from benchmarks.registry_files import Package, fetch
from serving.times import SAMPLE_RATE

SILERO = Package("silero-vad==6.2.3", source=True)
LECTURE = "tests/data/test.wav"
FILES = {
    **READERS,
    SILERO: {LECTURE: "89f17d9c94c4b31eb320f424628bcbc920abaddbee6e2760fd868bfb1d9a2e47"},
}

# Of every phrase.
_LEVEL_DBFS = -23.0
# Sound around a phrase that is kept, and faded.
MARGIN_SECONDS = 0.03


@dataclass(frozen=True)
class Phrase:
    """Words without a pause, and where the voice is: a file, and seconds within it."""

    file: str
    start: float
    end: float
    text: str

    @property
    def length(self) -> float:
        return self.end - self.start


PHRASES: dict[str, tuple[Phrase, ...]] = {
    "austen": (
        Phrase(
            LIBRIVOX.format("0870"),
            0.21,
            6.79,
            "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do for"
            " them",
        ),
        Phrase(LIBRIVOX.format("0880"), 0.23, 2.94, "he was not an ill disposed young man"),
        Phrase(LIBRIVOX.format("0890"), 0.28, 2.17, "unless to be rather cold hearted"),
        Phrase(LIBRIVOX.format("0890"), 2.2, 5.12, "and rather selfish is to be ill disposed"),
        Phrase(
            LIBRIVOX.format("0920"),
            0.29,
            5.8,
            "had he married a more amiable woman he might have been made still more respectable than he was",
        ),
        Phrase(LIBRIVOX.format("0930"), 0.24, 3.2, "he might even have been made amiable himself"),
    ),
    "dickens": (
        Phrase(CITIES, 1.2, 2.82, "it was the best of times"),
        Phrase(CITIES, 2.99, 4.55, "it was the worst of times"),
        Phrase(CITIES, 5.02, 6.19, "it was the age of wisdom"),
        Phrase(CITIES, 6.67, 8.19, "it was the age of foolishness"),
        Phrase(CITIES, 8.82, 10.29, "it was the epoch of belief"),
        Phrase(CITIES, 10.77, 12.78, "it was the epoch of incredulity"),
        Phrase(CITIES, 13.47, 14.77, "it was the season of light"),
        Phrase(CITIES, 15.15, 16.68, "it was the season of darkness"),
        Phrase(CITIES, 17.57, 18.72, "it was the spring of hope"),
        Phrase(CITIES, 18.98, 20.46, "it was the winter of despair"),
        Phrase(CITIES, 21.25, 22.65, "we had everything before us"),
        Phrase(CITIES, 22.73, 24.0, "we had nothing before us"),
        Phrase(CITIES, 24.65, 26.02, "we were all going direct to heaven"),
        Phrase(CITIES, 26.56, 28.27, "we were all going direct the other way"),
        Phrase(CITIES, 29.11, 29.59, "in short"),
        Phrase(CITIES, 29.93, 32.26, "the period was so far like the present period that"),
        Phrase(CITIES, 32.79, 36.57, "some of its noisiest authorities insisted on its being received for"),
        Phrase(CITIES, 36.95, 37.43, "good"),
        Phrase(CITIES, 37.61, 38.34, "or for evil"),
        Phrase(CITIES, 38.7, 41.63, "in the superlative degree of comparison only"),
        Phrase(BECKETT, 0.28, 1.54, "ever tried"),
        Phrase(BECKETT, 1.69, 2.86, "ever failed"),
        Phrase(BECKETT, 3.53, 4.12, "no matter"),
        Phrase(BECKETT, 4.87, 5.52, "try again"),
        Phrase(BECKETT, 6.66, 7.5, "fail again"),
    ),
    "lecturer": (
        Phrase(LECTURE, 2.7, 4.44, "and the answer that comes back is"),
        Phrase(
            LECTURE,
            20.37,
            26.11,
            "where we actually are and how the theories that people argue about in the journals and in the literature",
        ),
        Phrase(LECTURE, 26.43, 28.38, "actually could be implemented in the world"),
        Phrase(LECTURE, 30.86, 32.41, "into normative arguments"),
        Phrase(LECTURE, 32.73, 35.29, "made by other scholars"),
        Phrase(LECTURE, 48.87, 49.93, "well good luck with that"),
        Phrase(LECTURE, 53.57, 54.06, "wealth tax"),
        Phrase(LECTURE, 57.55, 59.0, "about normative questions"),
        Phrase(LECTURE, 13.55, 14.92, "develops theories"),
        Phrase(LECTURE, 16.33, 17.71, "take no account"),
        Phrase(LECTURE, 45.07, 46.45, "global wealth tax"),
    ),
}


@dataclass(frozen=True)
class Voice:
    """Somebody who says one reader's phrases, `speed` times as fast and as high."""

    name: str
    reader: str
    speed: float = 1.0

    def duration(self, phrase: Phrase) -> float:
        """Seconds that the phrase takes this voice."""
        return phrase.length / self.speed


# The first three were recorded.
VOICES = (
    Voice("austen", "austen"),
    Voice("dickens", "dickens"),
    Voice("lecturer", "lecturer"),
    Voice("dickens-low", "dickens", 0.85),
    Voice("austen-high", "austen", 1.18),
    Voice("lecturer-high", "lecturer", 1.18),
)


@cache
def spoken(voice: Voice, phrase: Phrase) -> Samples:
    """The phrase in this voice, with MARGIN_SECONDS more on either side: mono at 16 kHz, shape (samples,)."""
    margin = round(MARGIN_SECONDS * voice.speed * SAMPLE_RATE)
    start, end = round(phrase.start * SAMPLE_RATE), round(phrase.end * SAMPLE_RATE)
    audio = np.pad(_recordings()[phrase.file], margin)[start : end + 2 * margin].astype(np.float64)
    level = 10 ** (_LEVEL_DBFS / 20) * 32768 / np.sqrt(np.mean(audio**2))
    fade = np.minimum(1.0, np.arange(len(audio)) / margin)
    return _faster(to_int16(audio * level * fade * fade[::-1]), voice.speed)


@cache
def _recordings() -> dict[str, Samples]:
    paths = [fetch(package, files, recordings_folder()) for package, files in FILES.items()]
    return {inside: read_audio(path) for found in paths for inside, path in found.items()}


def _faster(samples: Samples, speed: float) -> Samples:
    """As a tape that runs faster: pitch and formants rise with the speed."""
    if speed == 1:
        return samples
    import av  # noqa: PLC0415  not needed where recordings come in a pack

    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = round(SAMPLE_RATE * speed)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    out = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([np.asarray(piece.to_ndarray()[0], dtype=np.int16) for piece in out])
