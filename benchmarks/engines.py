"""Both engines on the same models and the same utterances, on this machine's CPU.

    python -m benchmarks.engines [--model NAME …] [--seconds 120] [--rounds 3] [--folder FOLDER] [--json FILE]

The utterances are those that the service cuts out of clips of 2 to 14 s and a conversation (benchmarks/corpus.py). Whisper has real weights; the
other models are of the published sizes with random weights that decode like trained ones (workbench/networks), made on the
first use and kept in FOLDER. Each way of running has its own engine, warm before the clock starts; ways take turns, and
the best of the rounds counts, as others may use the machine.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from asr_service import engines
from asr_service.config import AsrConfig
from asr_service.engines import EngineName
from asr_service.engines.base import Engine, Recognition, Speech
from asr_service.engines.layout import Precision
from benchmarks.corpus import clips, conversation
from benchmarks.heard_on_cpu import cut
from serving.audio import to_float
from serving.models.store import ModelStore, default_cache_dir

_BATCH = 16
_TOKENS = 1024

Make = Callable[[Path], None]


def fastconformer_tdt(folder: Path) -> None:
    """NeMo's FastConformer "large" with TDT: 109 M parameters in the encoder, 1,024 pieces, 5 durations."""
    from workbench.networks import fastconformer, nemo_export, nemo_models, prediction  # noqa: PLC0415 - PyTorch

    decoder = prediction.Dimensions(tokens=_TOKENS, encoder=512, layers=1, durations=5)
    nemo_export.export_for_sherpa_onnx(nemo_models.transducer(fastconformer.LARGE, decoder), folder)


def fastconformer_ctc(folder: Path) -> None:
    """NeMo's FastConformer "large" with CTC: 109 M parameters, 1,024 pieces."""
    from workbench.networks import fastconformer, nemo_export, nemo_models  # noqa: PLC0415 - PyTorch

    model = nemo_models.ctc(lambda: fastconformer.FastConformer(fastconformer.LARGE), _TOKENS)
    nemo_export.export_ctc_for_sherpa_onnx(model, folder)


def zipformer_transducer(folder: Path) -> None:
    """Zipformer-M as icefall has it: 64 M parameters, 500 pieces."""
    from workbench.networks import icefall_export, icefall_models, stateless, zipformer  # noqa: PLC0415 - PyTorch

    model = icefall_models.transducer(lambda: zipformer.Zipformer(zipformer.MEDIUM), stateless.LIBRISPEECH)
    icefall_export.export_transducer(model, folder)


RANDOM: Mapping[str, Make] = {
    "fastconformer-tdt": fastconformer_tdt,
    "fastconformer-ctc": fastconformer_ctc,
    "zipformer-transducer": zipformer_transducer,
}
REAL: Mapping[str, Precision] = {"whisper-tiny.en-fp32": "fp32", "whisper-tiny.en": "int8"}


class Way(NamedTuple):
    """How utterances go through an engine."""

    engine: EngineName
    threads: int
    """Of one decode."""
    parallel: int
    """Decodes at once."""
    batch: int


@dataclass(frozen=True)
class Figures:
    model: str
    engine: str
    threads: int
    parallel: int
    batch: int
    speed: float
    """Seconds of audio in a second."""
    processor_seconds: float
    tokens: int
    same: int
    """Utterances that gave the tokens of the first way."""
    utterances: int


def ways(max_batch: int) -> Iterator[Way]:
    cores = os.cpu_count() or 1
    for threads, parallel in ((1, 1), (1, cores), (cores, 1)):
        yield Way("sherpa", threads, parallel, 1)
        yield Way("ort", threads, parallel, 1)
        if max_batch > 1:
            yield Way("ort", threads, parallel, min(_BATCH, max_batch))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", action="append", choices=[*REAL, *RANDOM], help="one of them; all by default"
    )
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=default_cache_dir() / "random")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: list[Figures] = []
    for name in arguments.model or [*REAL, *RANDOM]:
        directory = _directory(name, arguments.folder)
        found += measure(name, directory, arguments.seconds, arguments.rounds)
    print(table(found))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in found], indent=1), "utf-8")


def _directory(name: str, folder: Path) -> Path:
    if name in REAL:
        return ModelStore().path(name)
    directory = folder / name
    if not directory.exists():
        begun = time.monotonic()
        partial = directory.with_suffix(".partial")
        partial.mkdir(parents=True)
        RANDOM[name](partial)
        partial.rename(directory)
        print(f"made {directory} in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return directory


def measure(name: str, directory: Path, seconds: float, rounds: int) -> list[Figures]:
    def opened(way: Way) -> Engine:
        return engines.load(
            directory, precision=REAL.get(name, "fp32"), threads=way.threads, engine=way.engine
        )

    first = opened(Way("ort", 1, 1, 1))
    speeches = [
        Speech(to_float(utterance.samples), voiced=utterance.voiced)
        for recording in (*clips(), conversation(seconds))
        for utterance in cut(recording, AsrConfig(), first)
    ]
    loaded = {way: opened(way) for way in ways(first.info.max_batch)}
    runs: dict[Way, list[Run]] = {way: [] for way in loaded}
    for _ in range(rounds):
        for way, engine in loaded.items():
            runs[way].append(run(engine, way, speeches))
            print(f"{name} {way}: {runs[way][-1].wall:.1f} s", file=sys.stderr)
    audio = sum(speech.seconds for speech in speeches)
    expected = _said(next(iter(runs.values()))[0].found)
    return [
        _figures(name, loaded[way], way, min(each, key=lambda one: one.wall), audio, expected)
        for way, each in runs.items()
    ]


class Run(NamedTuple):
    wall: float
    processor: float
    found: list[Recognition]


def run(engine: Engine, way: Way, speeches: Sequence[Speech]) -> Run:
    parts = list(batches(engine, speeches, way.batch))
    found: dict[int, Recognition] = {}
    wall, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(way.parallel) as pool:
        answers = pool.map(lambda places: engine.recognize([speeches[place] for place in places]), parts)
        for places, answer in zip(parts, answers, strict=True):
            found.update(zip(places, answer, strict=True))
    return Run(
        time.perf_counter() - wall,
        time.process_time() - processor,
        [found[place] for place in range(len(speeches))],
    )


def batches(engine: Engine, speeches: Sequence[Speech], most: int) -> Iterator[list[int]]:
    """Places of utterances, longest first; those of one bucket together, as the service's scheduler puts them."""
    buckets: dict[int, list[int]] = {}
    for place in sorted(range(len(speeches)), key=lambda place: -speeches[place].seconds):
        buckets.setdefault(engine.bucket(speeches[place]) if most > 1 else place, []).append(place)
    for places in buckets.values():
        for start in range(0, len(places), most):
            yield places[start : start + most]


def _said(found: Sequence[Recognition]) -> list[list[bytes]]:
    return [[token.text for token in each.tokens] for each in found]


def _figures(
    name: str, engine: Engine, way: Way, best: Run, audio: float, expected: list[list[bytes]]
) -> Figures:
    said = _said(best.found)
    return Figures(
        name,
        engine.info.engine,
        way.threads,
        way.parallel,
        way.batch,
        audio / best.wall,
        best.processor,
        sum(map(len, said)),
        sum(ours == theirs for ours, theirs in zip(said, expected, strict=True)),
        len(said),
    )


def table(found: Sequence[Figures]) -> str:
    lines = [
        "| model | engine | threads by parallel decodes | batch | audio s a second | processor s | same tokens |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {each.model} | {each.engine} | {each.threads} by {each.parallel} | {each.batch} | {each.speed:.1f} | "
        f"{each.processor_seconds:.1f} | {each.same} of {each.utterances} |"
        for each in found
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
