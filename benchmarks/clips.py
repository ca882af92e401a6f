"""Writes the real clips with known words (benchmarks/corpus.py) to where the workbench looks for speech.

    python -m benchmarks.clips [FOLDER]          # default: clips/ in $DUOSCRIBE_CACHE

Each becomes NAME.wav, mono at 16 kHz, and NAME.txt with its words: 16 clips, 75 s, 2.4 MB.
"""

import argparse
from pathlib import Path

from benchmarks.corpus import clips
from workbench.clips import folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=folder())
    target: Path = parser.parse_args().folder
    target.mkdir(parents=True, exist_ok=True)
    recordings = clips()
    for recording in recordings:
        recording.write_wav(target / f"{recording.name}.wav")
        (sentence,) = recording.sentences
        (target / f"{recording.name}.txt").write_text(sentence.text + "\n", "utf-8")
    seconds = sum(recording.seconds for recording in recordings)
    print(f"{len(recordings)} clips, {seconds:.0f} s, in {target}")


if __name__ == "__main__":
    main()
