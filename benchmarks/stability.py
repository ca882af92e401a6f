"""How far early speaker labels can be trusted: what was shown while a recording came in, against the final answer.

    python -m benchmarks.stability [--recordings sample dev00 …] [--speakers 2 3 4] [--seconds 120] [--seeds 1]

Recordings come in second by second, as if spoken now, through the service's own stages with exact embeddings: the named ones
(benchmarks/corpus.py), and conversations of so many speakers (benchmarks/conversations.py). For each, as shares of the time
with speech in the final exclusive turns up to the last early horizon:

- shown: whose label when the horizon first passed them is the final one, after the optimal mapping of labels;
- last: the same for the labels that were known last before the end;
- changed: whose label changed after it was shown, each change counted.

And the seconds of audio in hand when the first label came. Prints a table in Markdown.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from benchmarks.conversations import converse
from benchmarks.corpus import MEETING_NAMES, meeting, sample
from benchmarks.corpus import Recording as Audio
from benchmarks.streamed import compute
from diarization_service.config import WorkerConfig
from diarization_service.early import EarlyClustering
from diarization_service.early_turns import Early
from diarization_service.recording import Recording
from diarization_service.runs import Track
from diarization_service.stages import Networks
from serving import logs
from serving.models.store import ModelStore
from serving.speakers import SpeakerBounds
from serving.times import SAMPLE_RATE

Labels = npt.NDArray[np.int64]
"""Of each 10 ms frame, from 0; NOBODY where nobody speaks or is known."""

NOBODY = -1
_FRAMES = 100


@dataclass(frozen=True)
class Stability:
    """Shares as above; `first_label` in seconds, None where there was none before the end."""

    shown: float
    last: float
    changed: float
    first_label: float | None
    speakers: int
    """Of the final answer."""


class Shown:
    """What a caller saw of a recording of so many frames."""

    def __init__(self, frames: int) -> None:
        self._first = np.full(frames, NOBODY)
        self._last = np.full(frames, NOBODY)
        self._horizon = 0
        self._changes = 0
        self._first_label: float | None = None

    def see(self, early: Early, received: float) -> None:
        """What is known once `received` seconds of audio are in hand."""
        now = labels(early.exclusive, len(self._last))
        horizon = min(round(early.horizon * _FRAMES), len(self._last))
        before, after = self._last[: self._horizon], now[: self._horizon]
        self._changes += int(np.count_nonzero((before != after) & (before != NOBODY)))
        self._first[self._horizon : horizon] = now[self._horizon : horizon]
        self._last[:horizon] = now[:horizon]
        self._horizon = horizon
        if self._first_label is None and early.exclusive:
            self._first_label = received

    def against(self, tracks: Iterable[Track]) -> Stability:
        """Judged by the final exclusive turns."""
        final = labels(tracks, len(self._last))[: self._horizon]
        speech = max(1, int(np.count_nonzero(final != NOBODY)))
        return Stability(
            shown=agreement(self._first[: self._horizon], final) / speech,
            last=agreement(self._last[: self._horizon], final) / speech,
            changed=self._changes / speech,
            first_label=self._first_label,
            speakers=len(set(final.tolist()) - {NOBODY}),
        )


def labels(tracks: Iterable[Track], frames: int) -> Labels:
    found = np.full(frames, NOBODY)
    for track in tracks:
        found[round(track.start * _FRAMES) : round(track.end * _FRAMES)] = track.speaker
    return found


def agreement(some: Labels, final: Labels) -> int:
    """Frames that both give to one speaker, with the mapping of speakers that gives most of them."""
    both = (some != NOBODY) & (final != NOBODY)
    shared = np.zeros((int(some.max(initial=0)) + 1, int(final.max(initial=0)) + 1), np.int64)
    np.add.at(shared, (some[both], final[both]), 1)
    return int(shared[linear_sum_assignment(shared, maximize=True)].sum())


def stability(audio: Audio, networks: Networks) -> Stability:
    """Of one recording that comes in second by second."""
    early = EarlyClustering(SpeakerBounds(), networks.geometry.dimension)
    recording = Recording(networks.geometry, SpeakerBounds(), early, networks.block_windows)
    shown = Shown(round(audio.seconds * _FRAMES))
    for start in range(0, len(audio.samples), SAMPLE_RATE):
        recording.feed(audio.samples[start : start + SAMPLE_RATE].astype("<i2").tobytes())
        compute(networks, recording)
        known = recording.early()
        if known is not None:
            shown.see(known, recording.received / SAMPLE_RATE)
    recording.end()
    compute(networks, recording)
    return shown.against(recording.answer().exclusive)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", nargs="*", choices=["sample", *MEETING_NAMES], default=["sample"])
    parser.add_argument("--speakers", nargs="*", type=int, default=[2, 3, 4])
    parser.add_argument("--seconds", type=float, default=120, help="length of each conversation")
    parser.add_argument("--seeds", type=int, default=1, help="conversations of each number of speakers")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    logs.configure("warning", "console")
    networks = exact_networks(arguments.device)
    print("| recording | s | speakers | shown | last | changed | first label, s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    found = [
        report(audio, networks)
        for audio in chosen(arguments.recordings, arguments.speakers, arguments.seconds, arguments.seeds)
    ]
    mean = sum(one.shown for one in found) / len(found)
    print(f"mean shown: {mean:.3f}; at least 0.9: {sum(one.shown >= 0.9 for one in found)} of {len(found)}")


def exact_networks(device: str) -> Networks:
    # Here, since torch is slow to load and the rest does without it.
    from diarization_service.torch_networks import load_networks  # noqa: PLC0415

    store = ModelStore()
    segmentation, embedding = (
        store.path(name) for name in ("pyannote-segmentation-3.0", "wespeaker-resnet34")
    )
    return load_networks(WorkerConfig(str(segmentation), str(embedding), device, mode="exact"))


def chosen(names: Iterable[str], speakers: Iterable[int], seconds: float, seeds: int) -> Iterator[Audio]:
    for name in names:
        yield sample() if name == "sample" else meeting(name)
    for count in speakers:
        for seed in range(seeds):
            yield converse(seconds, count, seed)


def report(audio: Audio, networks: Networks) -> Stability:
    found = stability(audio, networks)
    first = "none" if found.first_label is None else f"{found.first_label:.0f}"
    print(
        f"| {audio.name} | {audio.seconds:.0f} | {found.speakers} | {found.shown:.3f} | {found.last:.3f} "
        f"| {found.changed:.3f} | {first} |",
        flush=True,
    )
    return found


if __name__ == "__main__":
    main()
