"""Whether the diarization service's final turns are those of pyannote.audio's own pipeline, with the same weights.

    python -m benchmarks.equality [--device auto] [--minutes 5] [--hints none exact minimum maximum] [--chunk 1.0]
    python -m benchmarks.equality --device cuda --minutes 60 --pack recordings.npz    (benchmarks/packing.py)

On pyannote.audio's sample, 13 excerpts of meetings, and --minutes of joined conversations of 2 to 6 speakers with overlap,
each without a hint and with hints: the right number exactly, one speaker more at least, one less at most. Audio arrives in
chunks of --chunk seconds. Equal are as many turns, of the same speakers but for their names, whose bounds differ by a frame
(17 ms) at most, in both lists. Of the turns that are not equal, prints what share of the speech got another label, which
is also what another --mode or --precision changes.

Ours run first, all recordings one after the other, so that the peak memory printed is theirs alone: the process's beyond
what it had with the models loaded and warm, and the GPU's as torch allocated it. Ends with status 1 if any are not equal.
"""

import argparse
import resource
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyannote.core import Annotation, Segment
from pyannote.metrics.diarization import DiarizationErrorRate

from benchmarks.conversations import converse
from benchmarks.corpus import MEETING_NAMES, Samples
from benchmarks.packing import Pack, fetched
from benchmarks.streamed import streamed
from diarization_service.config import PRECISIONS, WorkerConfig
from diarization_service.pipeline import build
from diarization_service.torch_networks import TorchNetworks, load_networks
from serving import logs
from serving.models.store import ModelStore
from serving.speakers import SpeakerBounds
from serving.times import SAMPLE_RATE

# isort: split
from pyannote.audio.pipelines import SpeakerDiarization

FRAME_SECONDS = 270 / SAMPLE_RATE
CONVERSATION_MINUTES = 10
HINTS = ("none", "exact", "minimum", "maximum")
SPEAKERS = dict(zip(("sample", *MEETING_NAMES), (2, 2, 2, 4, 4, 3, 1, 2, 3, 4, 3, 4, 4, 3), strict=True))

Spans = list[tuple[float, float, Any]]
"""Start and end in seconds, and who, in order."""


@dataclass(frozen=True)
class Case:
    """A recording, and what is said about its speakers beforehand."""

    name: str
    samples: Samples
    hint: str
    bounds: SpeakerBounds

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True)
class Turns:
    """What a pipeline said, and how long it took, in seconds."""

    together: Spans
    exclusive: Spans
    seconds: float


@dataclass(frozen=True)
class Compared:
    """Of two lists of turns: whether they are equal, the most that two bounds differ, and the share of speech that does."""

    equal: bool
    apart: float
    different: float


def main() -> None:
    arguments = parsed()
    logs.configure("warning", "console")
    warnings.simplefilter("ignore")  # pyannote.audio's, about statistics over single frames
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    store = ModelStore()
    config = WorkerConfig(
        str(store.path("pyannote-segmentation-3.0")),
        str(store.path("wespeaker-resnet34")),
        device,
        mode=arguments.mode,
        precision=arguments.precision,
        threads=arguments.threads,
    )
    cases = list(all_cases(arguments))
    ours = own_turns(config, cases, arguments.chunk)
    theirs = pyannotes_turns(config, torch.device(device), cases)
    sys.exit(0 if report(cases, ours, theirs) else 1)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda or cuda:N; auto takes a GPU if there is one"
    )
    parser.add_argument("--recordings", nargs="*", choices=SPEAKERS, default=list(SPEAKERS))
    parser.add_argument("--minutes", type=float, default=5, help="of joined conversations; 0 for none")
    parser.add_argument("--hints", nargs="+", choices=HINTS, default=HINTS)
    parser.add_argument("--chunk", type=float, default=1.0, help="seconds of audio that arrive at once")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 takes all")
    parser.add_argument("--mode", choices=("exact", "fast"), default="exact", help="of ours")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of ours")
    parser.add_argument(
        "--pack", type=Path, help="recordings of benchmarks/packing.py, where none can be downloaded"
    )
    return parser.parse_args()


def all_cases(arguments: argparse.Namespace) -> Iterator[Case]:
    pack = Pack(arguments.pack) if arguments.pack else None
    for name, samples, speakers in recordings(arguments.recordings, arguments.minutes, pack):
        bounds = {
            "none": SpeakerBounds(),
            "exact": SpeakerBounds(speakers, speakers),
            "minimum": SpeakerBounds(minimum=speakers + 1),
            "maximum": SpeakerBounds(maximum=max(1, speakers - 1)),
        }
        for hint in arguments.hints:
            yield Case(name, samples, hint, bounds[hint])


def recordings(names: Sequence[str], minutes: float, pack: Pack | None) -> Iterator[tuple[str, Samples, int]]:
    """Names, samples and how many speak."""
    read = pack.recording if pack else fetched
    for name in names:
        yield name, read(name), SPEAKERS[name]
    join = pack.converse if pack else partial(converse)
    left, number = minutes, 0
    while left > 0:
        speakers = 2 + number % 5
        conversation = join(min(left, CONVERSATION_MINUTES) * 60, speakers, seed=number)
        yield conversation.name, conversation.samples, speakers
        left, number = left - CONVERSATION_MINUTES, number + 1


def own_turns(config: WorkerConfig, cases: Sequence[Case], chunk: float) -> list[Turns]:
    networks = load_networks(config)
    networks.warm_up()
    on_gpu = networks.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(networks.device)
    before = peak_memory()
    found = [own(networks, case, round(chunk * SAMPLE_RATE)) for case in cases]
    print(f"peak memory beyond the loaded models: {(peak_memory() - before) / 2**20:.0f} MiB")
    if on_gpu:
        print(f"peak memory on the GPU: {torch.cuda.max_memory_allocated(networks.device) / 2**20:.0f} MiB")
    return found


def own(networks: TorchNetworks, case: Case, chunk: int) -> Turns:
    started = time.monotonic()
    answer = streamed(networks, case.samples, case.bounds, chunk)
    together, exclusive = (
        sorted((track.start, track.end, track.speaker) for track in tracks)
        for tracks in (answer.tracks, answer.exclusive)
    )
    return Turns(together, exclusive, time.monotonic() - started)


def peak_memory() -> int:
    """Of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def pyannotes_turns(config: WorkerConfig, device: torch.device, cases: Sequence[Case]) -> list[Turns]:
    pipeline = build(config, device, SpeakerDiarization)
    pipeline.segmentation_batch_size = pipeline.embedding_batch_size = 32
    return [whole(pipeline, case) for case in cases]


def whole(pipeline: SpeakerDiarization, case: Case) -> Turns:
    started = time.monotonic()
    waveform = torch.from_numpy(case.samples.astype(np.float32) / np.float32(32768))[None]
    output: Any = pipeline(
        {"waveform": waveform, "sample_rate": SAMPLE_RATE, "uri": case.name},
        min_speakers=case.bounds.minimum,
        max_speakers=case.bounds.maximum,
    )
    together, exclusive = (
        sorted(
            (segment.start, segment.end, label) for segment, _, label in found.itertracks(yield_label=True)
        )
        for found in (output.speaker_diarization, output.exclusive_speaker_diarization)
    )
    return Turns(together, exclusive, time.monotonic() - started)


def report(cases: Sequence[Case], ours: Sequence[Turns], theirs: Sequence[Turns]) -> bool:
    print(
        "| recording | s | hint | turns | speakers | equal | bounds apart, ms | differs | ours, s | pyannote, s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    equal = 0
    for case, own, reference in zip(cases, ours, theirs, strict=True):
        both = (compared(own.together, reference.together), compared(own.exclusive, reference.exclusive))
        same = all(each.equal for each in both)
        equal += same
        speakers = len({speaker for _, _, speaker in reference.together})
        print(
            f"| {case.name} | {case.seconds:.0f} | {case.hint} | {len(reference.together)} | {speakers} |"
            f" {'yes' if same else 'NO'} | {max(each.apart for each in both) * 1000:.1f} |"
            f" {max(each.different for each in both):.3%} | {own.seconds:.1f} | {reference.seconds:.1f} |"
        )
    seconds = sum(case.seconds for case in cases)
    took, took_theirs = (sum(turns.seconds for turns in each) for each in (ours, theirs))
    print(
        f"{equal} of {len(cases)} equal, {seconds / 60:.0f} min; ours {took:.0f} s, pyannote.audio {took_theirs:.0f} s"
    )
    return equal == len(cases)


def compared(ours: Spans, theirs: Spans) -> Compared:
    names: dict[Any, Any] = {}
    apart = 0.0
    matched = len(ours) == len(theirs)
    if matched:
        for (start, end, speaker), (their_start, their_end, label) in zip(ours, theirs, strict=True):
            apart = max(apart, abs(start - their_start), abs(end - their_end))
            matched &= names.setdefault(speaker, label) == label
        matched &= len(set(names.values())) == len(names)
    equal = matched and apart <= FRAME_SECONDS
    return Compared(equal, apart if matched else 0.0, 0.0 if equal else difference(ours, theirs))


def difference(ours: Spans, theirs: Spans) -> float:
    """Diarization error rate of one against the other."""
    return float(DiarizationErrorRate()(annotation(theirs), annotation(ours)))


def annotation(spans: Spans) -> Annotation:
    made = Annotation()
    for index, (start, end, speaker) in enumerate(spans):
        made[Segment(start, end), index] = str(speaker)
    return made


if __name__ == "__main__":
    main()
