"""Real recordings with references, for tests, benchmarks and the demonstration.

- `sample()`: two people on the telephone, 30 s, with who spoke when and what they said (pyannote.audio's sample).
- `meeting(name)`: 30 s excerpts of AMI meetings with who spoke when (pyannote.audio's test data, CC-BY-4.0).
- `clips()`: sentences by two readers, one recording each, with exact words.
- `conversation(seconds)`: the same sentences joined in turns, with exact words, speakers and times. The clips come from
  LibriVox (PocketSphinx's test data) and from Moonshine's demonstration files.

Nothing of it lies in the repository: the first use downloads it from the Python registry and checks it.
"""

import os
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry_files import Package, fetch
from serving.times import SAMPLE_RATE

Samples = NDArray[np.int16]

PYANNOTE = Package("pyannote.audio==4.0.7", source=True)
POCKETSPHINX = Package("pocketsphinx==5.1.1", source=True)
MOONSHINE = Package("moonshine-voice==0.1.0", source=False, platform="manylinux_2_34_x86_64")

SAMPLE = {
    "src/pyannote/audio/sample/sample.wav": "c319b4abca767b124e41432d364fd7df006cb26bb79d09326c487d606a134e6e",
    "src/pyannote/audio/sample/sample.rttm": "d78fe62c69d8e6dcbb42c26adfce83faccb374c5a1e6d987fe37f85f1c173c87",
    "src/pyannote/audio/sample/sample.stm": "f861f3004927e1c4429199f9695bfd252def75d7d5e4bdf735d3d85fd4a667f7",
}
MEETINGS = {
    "tests/data/dev00.wav": "187386cda67317574da5b30068a8b853e52cc6df0d13abfec381912dfa9e7461",
    "tests/data/dev01.wav": "13834217e1bd46a581af1b8040018bfba1e65ce1e0b9ee46cdcefa9334b9ddea",
    "tests/data/tst00.wav": "0af781fb566501f7950479fd8bd92329276782c7ac930a03497d553b21c33397",
    "tests/data/tst01.wav": "a40925742870d05363eb781bd2cf1501fc37883cf003389175a39b24a5b2c7c9",
    "tests/data/trñ00.wav": "2b0ac2846b90199cf0fdaef0c38c26e965651f2fee29e7af13a30a5b84218142",
    "tests/data/trn02.wav": "2e4ce968332e68cac5ed74cd00f96b63ed6c034667583be34a32a7c2aa260803",
    "tests/data/trn03.wav": "d12d132a6d4788f85efaa8e18563e575746e6a6fcc928e919c7c0e6a3e0238b2",
    "tests/data/trn04.wav": "afa4bd13ee05be34953beb594d0d755ba83284c5a742ae27e388952d41c4d0f1",
    "tests/data/trn05.wav": "ec694aa5c9eea7453263eaf90d38ed921c1b6f8cc4f52897d9a4457a504d668d",
    "tests/data/trn06.wav": "e70cbed4f13c7971fdf9d424b079d87a25ed1ce3928da0bccd18f143eb4ac359",
    "tests/data/trn07.wav": "77628cd91dcc27c61f9b709e670f003cb860d597fda56e7ccb0ccbbc42d5a26f",
    "tests/data/trn08.wav": "a7d3397e82cb1025307f08b0fe8459a9d43fe61f3d9ce674f17819c7450bfac5",
    "tests/data/trn09.wav": "8e18bc410e6d54a166bbba2ff0b46a222626706788fa222add4f97bca842f822",
    "tests/data/debug.train.rttm": "972ee04414fc7644f26eabe1909d6a0f6a3fa57ab840719ec0112d26f3a957d5",
    "tests/data/debug.development.rttm": "9667a672072f7d0ad5b647cfaed987d8c52209a4e1ddc252fed06d0b955e7aeb",
    "tests/data/debug.test.rttm": "eae147d74d3f08002a5028183538eb35e6a7c7a77fe7d87c51eec95852d33161",
}
LIBRIVOX = "test/data/librivox/sense_and_sensibility_01_austen_64kb-{}.wav"
# Without trn01, in which nobody is heard.
MEETING_NAMES = tuple(Path(inside).stem for inside in MEETINGS if inside.endswith(".wav"))
READERS = {
    POCKETSPHINX: {
        LIBRIVOX.format("0870"): "b0557cf95c974d930577e58e46b7f068c432a6e3afcc286563d88922b2a5315c",
        LIBRIVOX.format("0880"): "fbec491ef00ee734a67f0ee318e98c51c157b479e1629ff4f4426861ecac0414",
        LIBRIVOX.format("0890"): "5793ffbdee55fb8bfd284943a6866864c832d9d4accf2661cabd39915c84ee10",
        LIBRIVOX.format("0920"): "40882414ef4cc51f3ff7a63bad0c8c87e7f595ffeb8209fbf756c8ebc5c28a59",
        LIBRIVOX.format("0930"): "954adbf0b56ac8a148cbe77b39ca18d76b5f2a1e1f405565bd786ce3e68a68b7",
    },
    MOONSHINE: {
        "moonshine_voice/assets/two_cities.wav": "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
        "moonshine_voice/assets/beckett.wav": "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
    },
}


@dataclass(frozen=True)
class Clip:
    """One reader's words, and where they are: a file, and seconds within it (`end` None: to its end)."""

    speaker: str
    file: str
    text: str
    start: float = 0.0
    end: float | None = None


CITIES = "moonshine_voice/assets/two_cities.wav"
# The same voice as above: WeSpeaker embeddings have cosine 0.6 with each other, and 0.1 with those of the other reader.
BECKETT = "moonshine_voice/assets/beckett.wav"
CLIPS = (
    Clip(
        "austen",
        LIBRIVOX.format("0870"),
        "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do for them",
    ),
    Clip("austen", LIBRIVOX.format("0880"), "he was not an ill disposed young man"),
    Clip(
        "austen",
        LIBRIVOX.format("0890"),
        "unless to be rather cold hearted and rather selfish is to be ill disposed",
    ),
    Clip(
        "austen",
        LIBRIVOX.format("0920"),
        "had he married a more amiable woman he might have been made still more respectable than he was",
    ),
    Clip("austen", LIBRIVOX.format("0930"), "he might even have been made amiable himself"),
    Clip("dickens", CITIES, "it was the best of times it was the worst of times", 1.0, 4.8),
    Clip("dickens", CITIES, "it was the age of wisdom it was the age of foolishness", 4.8, 8.5),
    Clip("dickens", CITIES, "it was the epoch of belief it was the epoch of incredulity", 8.5, 13.1),
    Clip("dickens", CITIES, "it was the season of light it was the season of darkness", 13.1, 17.1),
    Clip("dickens", CITIES, "it was the spring of hope it was the winter of despair", 17.1, 20.9),
    Clip("dickens", CITIES, "we had everything before us we had nothing before us", 20.9, 24.3),
    Clip(
        "dickens",
        CITIES,
        "we were all going direct to heaven we were all going direct the other way",
        24.3,
        28.7,
    ),
    Clip(
        "dickens",
        CITIES,
        "in short the period was so far like the present period that some of its noisiest authorities insisted on its"
        " being received for good or for evil in the superlative degree of comparison only",
        28.7,
        42.2,
    ),
    Clip("dickens", BECKETT, "ever tried ever failed", 0.0, 3.4),
    Clip("dickens", BECKETT, "no matter try again", 3.4, 6.0),
    Clip("dickens", BECKETT, "fail again fail better", 6.4, None),
)


@dataclass(frozen=True)
class Turn:
    """One speaker, in seconds from the recording's start."""

    start: float
    end: float
    speaker: str


@dataclass(frozen=True)
class Sentence:
    """Exact words, and who said them when."""

    start: float
    end: float
    speaker: str
    text: str


@dataclass(frozen=True)
class Recording:
    """Mono 16 kHz samples with references; `sentences` is empty where nobody wrote the words down."""

    name: str
    samples: Samples
    turns: tuple[Turn, ...]
    sentences: tuple[Sentence, ...] = ()

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    def write_wav(self, path: Path) -> Path:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(self.samples.tobytes())
        return path


def sample() -> Recording:
    wav, rttm, stm = fetch(PYANNOTE, SAMPLE, recordings_folder()).values()
    return Recording("sample", read_audio(wav), _turns(rttm, "sample"), _sentences(stm))


def meeting(name: str) -> Recording:
    """The AMI excerpt `name`, one of MEETING_NAMES: dev00 and dev01 hold two speakers, tst00 and tst01 four."""
    files = {
        Path(inside).name: path for inside, path in fetch(PYANNOTE, MEETINGS, recordings_folder()).items()
    }
    part = {"dev": "development", "tst": "test"}.get(name[:3], "train")
    # One file's name, but not its reference's, has a letter that few file names have.
    turns = _turns(files[f"debug.{part}.rttm"], name.replace("ñ", "n"))
    return Recording(name, read_audio(files[f"{name}.wav"]), turns)


def clips() -> list[Recording]:
    """Every clip as a recording of its own, 2 to 14 s long."""
    return [
        Recording(
            f"{clip.speaker}-{number}",
            audio,
            (Turn(0.0, len(audio) / SAMPLE_RATE, clip.speaker),),
            (Sentence(0.0, len(audio) / SAMPLE_RATE, clip.speaker, clip.text),),
        )
        for number, (clip, audio) in enumerate(dict(_clips_by_turn()).items())
    ]


def conversation(seconds: float, seed: int = 0) -> Recording:
    """Two readers taking turns for at least `seconds`, with pauses of 0.2 to 1.2 s and equal loudness.

    The same arguments always give the same samples. Clips come again once all were used.
    """
    random = np.random.default_rng(seed)
    clips = _clips_by_turn()
    pieces: list[Samples] = []
    turns: list[Turn] = []
    sentences: list[Sentence] = []
    length = 0
    while length < seconds * SAMPLE_RATE:
        clip, audio = clips[len(sentences) % len(clips)]
        pause = np.zeros(int(random.uniform(0.2, 1.2) * SAMPLE_RATE), dtype=np.int16)
        start = (length + len(pause)) / SAMPLE_RATE
        voiced = [Turn(start + a, start + b, clip.speaker) for a, b in _voiced(audio)]
        turns += voiced
        sentences.append(Sentence(voiced[0].start, voiced[-1].end, clip.speaker, clip.text))
        pieces += [pause, audio]
        length += len(pause) + len(audio)
    samples = np.concatenate(pieces)
    room = random.normal(0, 8, len(samples))  # about -72 dBFS: no microphone hears digital silence
    return Recording(f"conversation-{seconds:g}s", to_int16(samples + room), tuple(turns), tuple(sentences))


def recordings_folder() -> Path:
    cache = os.environ.get("DUOSCRIBE_CACHE")
    return (Path(cache) if cache else Path.home() / ".cache" / "duoscribe") / "recordings"


def _clips_by_turn() -> list[tuple[Clip, Samples]]:
    """All clips, the readers taking turns; who has fewer clips says some of them again."""
    paths: dict[str, Path] = {}
    for package, files in READERS.items():
        paths |= fetch(package, files, recordings_folder())
    by_speaker: dict[str, list[Clip]] = {}
    for clip in CLIPS:
        by_speaker.setdefault(clip.speaker, []).append(clip)
    rounds = range(max(len(clips) for clips in by_speaker.values()))
    turns = [clips[number % len(clips)] for number in rounds for clips in by_speaker.values()]
    return [(clip, _cut(read_audio(paths[clip.file]), clip)) for clip in turns]


def _cut(samples: Samples, clip: Clip) -> Samples:
    """The clip's samples at an RMS of -23 dBFS over its voiced parts."""
    end = None if clip.end is None else int(clip.end * SAMPLE_RATE)
    piece = samples[int(clip.start * SAMPLE_RATE) : end]
    voiced = np.concatenate([piece[int(a * SAMPLE_RATE) : int(b * SAMPLE_RATE)] for a, b in _voiced(piece)])
    gain = float(10 ** (-23 / 20) * 32768 / np.sqrt(np.mean(voiced.astype(np.float64) ** 2)))
    return to_int16(piece * gain)


def to_int16(samples: NDArray[np.floating[Any]]) -> Samples:
    clipped: Samples = np.clip(samples, -32768, 32767).astype(np.int16)
    return clipped


def _voiced(samples: Samples, frame: int = 160, longest_pause: float = 0.3) -> list[tuple[float, float]]:
    """Stretches, in seconds, above 3 % of the loudest 10 ms frame; pauses up to `longest_pause` belong to them."""
    count = len(samples) // frame
    frames = samples[: count * frame].reshape(count, frame).astype(np.float64)
    level = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(level > 0.03 * level.max())
    gaps = np.flatnonzero(np.diff(loud) * frame > longest_pause * SAMPLE_RATE)
    starts = loud[np.concatenate([[0], gaps + 1])]
    ends = loud[np.concatenate([gaps, [len(loud) - 1]])] + 1
    return [
        (float(a) * frame / SAMPLE_RATE, float(b) * frame / SAMPLE_RATE)
        for a, b in zip(starts, ends, strict=True)
    ]


def read_audio(path: Path) -> Samples:
    """Any file that FFmpeg reads, as mono 16 kHz samples."""
    import av  # noqa: PLC0415  not needed where recordings come in a pack

    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([np.asarray(frame.to_ndarray()[0], dtype=np.int16) for frame in frames])


def _turns(rttm: Path, name: str) -> tuple[Turn, ...]:
    rows = [line.split() for line in rttm.read_text(encoding="utf-8").splitlines() if line]
    return tuple(Turn(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows if row[1] == name)


def _sentences(stm: Path) -> tuple[Sentence, ...]:
    rows = [line.split(maxsplit=5) for line in stm.read_text(encoding="utf-8").splitlines() if line]
    return tuple(Sentence(float(row[3]), float(row[4]), row[2], row[5]) for row in rows)
