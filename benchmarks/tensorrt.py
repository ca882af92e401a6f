"""Recognition on a GPU: checks what an engine says, and times its encoder, its search and all of it.

    python -m benchmarks.gpu_models MODELS                                        # needs PyTorch
    python -m benchmarks.tensorrt build MODELS/fastconformer-tdt-0.6b             # TensorRT's engines, minutes
    python -m benchmarks.tensorrt measure MODELS/… --provider cuda --json cuda.json
    python -m benchmarks.tensorrt measure MODELS/… --provider tensorrt --json tensorrt.json
    python -m benchmarks.tensorrt words UTTERANCES WHISPER --provider tensorrt    # real weights on real speech
    python -m benchmarks.tensorrt table cuda.json tensorrt.json                   # Markdown

Each step is a process of its own, since two providers may need two versions of ONNX Runtime. `measure` recognises the
sound that lies beside the models, other pieces in each batch: the first batch of each shape is timed apart, which shows whether anything was built for it.
`words` takes what `python -m benchmarks.heard_on_cpu` wrote: utterances cut from real recordings, and what a CPU hears.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxruntime import OrtValue

from asr_service.engines.base import Samples, Speech
from asr_service.engines.continuing import ContinuingEngine
from asr_service.engines.ort.assembly import open_engine
from asr_service.engines.ort.devices import Installation, look
from asr_service.engines.ort.encoder import rows as encoder_rows
from asr_service.engines.ort.engine import OrtEngine
from asr_service.engines.ort.gate import relative_error, token_agreement
from asr_service.engines.ort.pipeline import Pipeline
from asr_service.engines.ort.profiles import Profile, parse
from asr_service.engines.ort.settings import Bounds, Settings, Wanted, parse_options
from asr_service.engines.ort.source import Source
from asr_service.engines.ort.speechlike import speech_like
from asr_service.engines.ort.stages import Floats, Part
from asr_service.engines.ort.watching import Watch, unwatched
from serving.models.integrity import fingerprint
from serving.times import SAMPLE_RATE

PROFILES = (parse("1:32:32x0.5:20:80"),)
BATCHES, SECONDS = (1, 8, 32, 128), (5.0, 20.0, 80.0)
# Nobody trained these models: half of their decisions are near ties, so only the frames are judged strictly.
BOUNDS = Bounds(relative_error=0.03, token_agreement=0.5)
_CHECKED = 2, 20.0
_LEAST_RUNS, _MOST_SECONDS = 3, 2.0
_LOADED = time.monotonic()

Sounds = npt.NDArray[np.int16]
"""Shape (utterances, samples)."""


@dataclass(frozen=True)
class Run:
    """A shape's times in seconds; each is a median, but for the first."""

    batch: int
    seconds: float
    network: float
    """The encoder's alone, inputs and outputs on the device."""
    features: float
    encoder: float
    """With its features' way to the device."""
    search: float
    total: float
    first: float
    tokens: float
    """A second of audio."""
    memory: int
    """Of the GPU, in bytes, by all processes, after the batch."""

    @property
    def audio(self) -> float:
        return self.batch * self.seconds


@dataclass(frozen=True)
class Report:
    model: str
    provider: str
    gpu: str
    driver: str
    onnxruntime: str
    tensorrt: str
    start: float
    """Seconds from the process's start to a warm engine."""
    runs: list[Run]
    unchanged: bool = False
    """Whether the folder of engines was the same before and after all batches."""
    relative_error: float | None = None
    """Of the encoder's output against the CPU's in fp32; None where the measurement did not come so far."""


class StageClock:
    """Adds up how long the stages of batches took."""

    def __init__(self) -> None:
        self._taken: dict[str, float] = {}

    def __call__(self, stage: str, seconds: float) -> None:
        self._taken[stage] = self._taken.get(stage, 0.0) + seconds

    def lap(self) -> dict[str, float]:
        """What was added since the last call."""
        taken, self._taken = self._taken, {}
        return taken


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    for name, run in (("build", build), ("measure", measure), ("words", words), ("table", table)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        if name == "table":
            command.add_argument("reports", type=Path, nargs="+")
            continue
        if name == "words":
            command.add_argument("utterances", type=Path)
        command.add_argument("model", type=Path)
        command.add_argument("--provider", default="tensorrt", choices=("cpu", "cuda", "tensorrt"))
        command.add_argument("--profile", action="append", help="default: 1:32:32x0.5:20:80")
        command.add_argument("--provider-option", action="append", default=[], metavar="NAME=VALUE")
        command.add_argument("--features", default="auto", choices=("auto", "numpy", "graph"))
        command.add_argument("--json", type=Path)
        if name == "measure":
            command.add_argument("--batch", type=int, action="append")
            command.add_argument("--seconds", type=float, action="append")
            command.add_argument("--reference", type=Path, help="keeps the CPU's answer between runs")
    arguments = parser.parse_args()
    arguments.run(arguments)


def build(arguments: argparse.Namespace) -> None:
    begun = time.monotonic()
    opened(arguments.model, replace(settings(arguments), build=True))
    print(f"{arguments.model.name}: built, loaded and judged in {time.monotonic() - begun:.0f} s")


def measure(arguments: argparse.Namespace) -> None:
    clock = StageClock()
    installation = look()
    before = engine_files()
    engine = opened(arguments.model, settings(arguments), clock)
    start = time.monotonic() - _LOADED
    print(f"{arguments.provider}: start {start:.1f} s", flush=True)
    speech = np.load(arguments.model.parent / "speech.npy")
    runs: list[Run] = []
    report = reported(arguments, installation, start, runs)
    for seconds in arguments.seconds or SECONDS:
        for batch in arguments.batch or BATCHES:
            runs.append(run := timed(engine, clock, speech, batch, seconds))
            print(line(run), flush=True)
            # What was measured is kept, whatever comes after.
            save(arguments, replace(report, runs=runs, unchanged=engine_files() == before))
    error = encoder_error(engine, speech, arguments)
    print(f"relative error {error:.5f}")
    save(arguments, replace(report, runs=runs, unchanged=engine_files() == before, relative_error=error))


def save(arguments: argparse.Namespace, report: Report) -> None:
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(report), indent=1))


def words(arguments: argparse.Namespace) -> None:
    """Counts words that differ from the CPU's on real speech."""
    held = json.loads(arguments.utterances.with_suffix(".json").read_text("utf-8"))
    samples = np.load(arguments.utterances)
    chosen = replace(settings(arguments, whisper=True), build=True)
    engine = ContinuingEngine(opened(arguments.model, chosen))
    speeches = [
        Speech(samples[name].astype(np.float32) / 32768, "en", tuple(map(tuple, heard["voiced"])))
        for name, heard in held.items()
    ]
    heard = [b"".join(token.text for token in found.tokens).decode() for found in engine.recognize(speeches)]
    expected = [each["text"] for each in held.values()]
    total = sum(len(text.split()) for text in expected)
    same = token_agreement(*numbered(expected, heard))
    print(f"{engine.info.provider}: {len(heard)} utterances, {total} words, {same:.2%} as on the CPU")
    for one, other in zip(expected, heard, strict=True):
        if one.split() != other.split():
            print(f"  CPU:  {one}\n  here: {other}")


def numbered(*texts: Sequence[str]) -> list[list[list[int]]]:
    """Words as numbers, the same for the same word."""
    numbers: dict[str, int] = {}
    return [
        [[numbers.setdefault(word, len(numbers)) for word in text.split()] for text in each] for each in texts
    ]


def table(arguments: argparse.Namespace) -> None:
    """Both providers side by side, a row a shape."""
    cuda, tensorrt = (read(path) for path in arguments.reports)
    print(f"{cuda.model} on one {cuda.gpu}, driver {cuda.driver}\n")
    for report in (cuda, tensorrt):
        version = f", TensorRT {report.tensorrt}" if report.provider == "tensorrt" else ""
        print(
            f"- {report.provider}: ONNX Runtime {report.onnxruntime}{version}; start {report.start:.1f} s; relative error "
            f"{report.relative_error or float('nan'):.5f}; engines unchanged by all batches: {'yes' if report.unchanged else 'NO'}"
        )
    print(
        "\n| audio | batch | encoder CUDA, ms | TensorRT, ms | CUDA/TensorRT | times real time | search, ms | share of both | all, ms "
        "| times real time | first/median | tokens/s | GPU memory, GiB |"
    )
    print("| --- |" + " --- |" * 12)
    slower = {(run.batch, run.seconds): run for run in cuda.runs}
    for run in tensorrt.runs:
        if (other := slower.get((run.batch, run.seconds))) is not None:
            print(row(other, run))


def row(cuda: Run, run: Run) -> str:
    both = run.network + run.search
    cells = (
        f"{run.seconds:g} s",
        f"{run.batch}",
        f"{cuda.network * 1e3:.1f}",
        f"{run.network * 1e3:.1f}",
        f"{cuda.network / run.network:.2f}",
        f"{run.audio / run.network:,.0f}",
        f"{run.search * 1e3:.1f}",
        f"{run.search / both:.0%}",
        f"{run.total * 1e3:.1f}",
        f"{run.audio / run.total:,.0f}",
        f"{run.first / run.total:.1f}",
        f"{run.tokens:.1f}",
        f"{run.memory / 2**30:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def line(run: Run) -> str:
    return (
        f"  {run.batch:4} x {run.seconds:g} s: network {run.network * 1e3:.1f}, features {run.features * 1e3:.1f}, encoder {run.encoder * 1e3:.1f}, search "
        f"{run.search * 1e3:.1f}, all {run.total * 1e3:.1f} ms ({run.audio / run.total:,.0f}x), first {run.first * 1e3:.0f} ms, "
        f"{run.tokens:.1f} tokens/s, {run.memory / 2**30:.1f} GiB"
    )


def settings(arguments: argparse.Namespace, *, whisper: bool = False) -> Settings:
    provider: Wanted = arguments.provider
    profiles: tuple[Profile, ...] = tuple(map(parse, arguments.profile or ())) or (
        () if whisper else PROFILES
    )
    options = parse_options(arguments.provider_option)
    return Settings(
        provider=provider,
        profiles=profiles,
        bounds=None if whisper else BOUNDS,
        features=arguments.features,
        options=options,
    )


def opened(model: Path, chosen: Settings, clock: Watch = unwatched) -> OrtEngine:
    source = Source(model, str(model), fingerprint(model))
    engine = open_engine(source, "fp32", chosen, look(), clock)
    print(f"{engine.info.provider}: {engine.info.provider_reason}", file=sys.stderr)
    return engine


def timed(engine: OrtEngine, clock: StageClock, speech: Sounds, batch: int, seconds: float) -> Run:
    """Runs batches of other speech until a few seconds have passed."""
    totals: list[float] = []
    stages: list[dict[str, float]] = []
    tokens, begun = 0, time.monotonic()
    while len(totals) <= _LEAST_RUNS or (time.monotonic() - begun < _MOST_SECONDS and len(totals) < 20):
        speeches = [Speech(samples) for samples in clips(speech, batch, seconds, seed=len(totals))]
        clock.lap()
        started = time.perf_counter()
        found = engine.recognize(speeches)
        totals.append(time.perf_counter() - started)
        stages.append(clock.lap())
        tokens += sum(len(recognition.tokens) for recognition in found)
    medians = {stage: statistics.median(lap[stage] for lap in stages[1:]) for stage in stages[0]}
    return Run(
        batch,
        seconds,
        network=network_seconds(pipeline(engine), batch, seconds),
        **medians,
        total=statistics.median(totals[1:]),
        first=totals[0],
        tokens=tokens / (len(totals) * batch * seconds),
        memory=memory_used(),
    )


def network_seconds(model: Pipeline, batch: int, seconds: float) -> float:
    """Median of the encoder's runs over a batch, in the parts that it takes, with its inputs on the device beforehand."""
    samples = round(seconds * SAMPLE_RATE)
    return sum(part_seconds(model, rows, samples) for rows in model.encoder.lanes.split(batch, samples))


@cache
def part_seconds(model: Pipeline, rows: int, samples: int) -> float:
    session = model.encoder.lanes.lane(rows, samples).session
    features = model.features([speech_like(samples / SAMPLE_RATE)] * rows, samples)
    inputs = model.encoder.signature.inputs(*next(features.parts([Part(rows, rows)])))
    place = session.placement
    bound = {
        name: OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value), place.device, place.device_id)
        if isinstance(value, np.ndarray)
        else value
        for name, value in inputs.items()
    }
    taken = []
    for _ in range(8):
        started = time.perf_counter()
        session.run(bound, keep=session.outputs)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def pipeline(engine: OrtEngine) -> Pipeline:
    if not isinstance(engine.recognizer, Pipeline):
        raise SystemExit(
            "only models whose tokens belong to encoder frames are timed; see `words` for Whisper"
        )
    return engine.recognizer


def clips(speech: Sounds, count: int, seconds: float, seed: int) -> list[Samples]:
    """Pieces of the speech, each from another place."""
    length, places = round(seconds * SAMPLE_RATE), SAMPLE_RATE // 10
    return [
        np.roll(speech[n % len(speech)], -places * (seed + 7 * (n // len(speech))))[:length].astype(
            np.float32
        )
        / 32768
        for n in range(count)
    ]


def encoder_error(engine: OrtEngine, speech: Sounds, arguments: argparse.Namespace) -> float:
    """Against the CPU in fp32, which `--reference` remembers."""
    kept: Path | None = arguments.reference
    if kept is not None and kept.exists():
        reference = np.load(kept)
    else:
        reference = frames(opened(arguments.model, Settings(provider="cpu", threads=8)), speech)
        if kept is not None:
            np.save(kept, reference)
    return relative_error(reference, frames(engine, speech))


def frames(engine: OrtEngine, speech: Sounds) -> Floats:
    """The encoder's output for some utterances, padding and all that a longer bucket adds left out."""
    rows, seconds = _CHECKED
    model = pipeline(engine)
    samples = clips(speech, rows, seconds, seed=0)
    longest = round(seconds * SAMPLE_RATE)
    encoded = model.encoder(model.features(samples, longest), longest)
    return np.concatenate(encoder_rows(model.encoder.signature, encoded))


def engine_files() -> dict[str, tuple[int, int]]:
    """Sizes and times of everything among the engines, in which a build would show."""
    from asr_service.engines.ort.cache import EngineCache  # noqa: PLC0415 - only where engines are

    root = EngineCache().root
    files: Iterable[Path] = root.rglob("*") if root.exists() else ()
    found = {}
    for path in files:
        with suppress(OSError):
            if path.is_file() and path.suffix != ".lock":
                found[str(path)] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found


def memory_used() -> int:
    """Of all GPUs, in bytes, by whatever process."""
    return sum(gpu.total - gpu.free for gpu in look().gpus)


def reported(
    arguments: argparse.Namespace, installation: Installation, start: float, runs: list[Run]
) -> Report:
    return Report(
        arguments.model.name,
        arguments.provider,
        *next(((gpu.name, gpu.driver) for gpu in installation.gpus), ("no GPU", "none")),
        installation.onnxruntime,
        installation.tensorrt,
        start,
        runs,
    )


def read(path: Path) -> Report:
    held: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return Report(**{**held, "runs": [Run(**run) for run in held["runs"]]})


if __name__ == "__main__":
    main()
