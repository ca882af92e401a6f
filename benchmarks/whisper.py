"""Whisper on CPUs, one utterance after the other: this project's search on ONNX Runtime against sherpa-onnx, same files.

    python -m benchmarks.whisper [--precision int8] [--threads 1 2] [--repeat 3]

The utterances are real: sentences read aloud, two of them joined with pauses, a telephone conversation, meetings
(benchmarks/corpus.py), 2 to 23 s. The engines take turns at each; of all repetitions each one's best counts. The last columns
compare words and times with sherpa-onnx's: in its own row, those that it gives once a noise of 1e-6 is added, a thirtieth of
the least that 16 bits hold. That is as far as two computations of the same can be expected to agree.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from asr_service.engines.base import Recognition, Samples, Speech
from asr_service.engines.layout import Precision, detect
from asr_service.engines.ort.features import NumpyFeatures, SherpaWhisperFeatures
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.profiles import Profiles, parse
from asr_service.engines.ort.runtime import Placement, Session
from asr_service.engines.ort.whisper.pipeline import WhisperPipeline
from asr_service.engines.ort.whisper.search import WhisperSearch
from asr_service.engines.ort.whisper.special_tokens import read_texts
from asr_service.engines.sherpa import SherpaEngine
from benchmarks.corpus import Samples as CorpusSamples
from benchmarks.corpus import clips, conversation, meeting, sample
from serving.models.store import ModelStore
from serving.times import SAMPLE_RATE

MODELS: dict[Precision, str] = {"int8": "whisper-tiny.en", "fp32": "whisper-tiny.en-fp32"}
MEETINGS = ("dev00", "dev01", "tst00", "tst01")
FRAME_SECONDS = 0.02
INAUDIBLE = 1e-6

Recognize = Callable[[Speech], Recognition]


@dataclass
class Engine:
    """One way to recognise, with its best times of each utterance, in seconds, and what it heard last."""

    name: str
    recognize: Recognize
    wall: dict[int, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)
    heard: dict[int, Recognition] = field(default_factory=dict)

    def time(self, number: int, speech: Speech) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.heard[number] = self.recognize(speech)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.wall[number] = min(wall, self.wall.get(number, wall))
        self.cpu[number] = min(cpu, self.cpu.get(number, cpu))


def main() -> None:
    arguments = parsed()
    speeches = [Speech(samples) for samples in utterances()]
    seconds = sum(speech.seconds for speech in speeches)
    print(f"{len(speeches)} utterances, {seconds:.0f} s, {arguments.precision}\n")
    print(
        "| engine | threads | wall s | CPU s | audio s a second | same words | starts equal, within a frame |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for threads in arguments.threads:
        sherpa, ort = measured(arguments.precision, threads, speeches, arguments.repeat)
        noisy = [sherpa.recognize(speech) for speech in disturbed(speeches)]
        for engine, others in ((sherpa, noisy), (ort, list(ort.heard.values()))):
            wall, cpu = sum(engine.wall.values()), sum(engine.cpu.values())
            agreed = agreement(list(sherpa.heard.values()), others)
            print(
                f"| {engine.name} | {threads} | {wall:.2f} | {cpu:.2f} | {seconds / wall:.1f} | {agreed} |",
                flush=True,
            )


def measured(
    precision: Precision, threads: int, speeches: list[Speech], repeat: int
) -> tuple[Engine, Engine]:
    sherpa, ort = engines = (
        Engine("sherpa-onnx", sherpa_onnx(precision, threads)),
        Engine("ort", onnx_runtime(precision, threads)),
    )
    for engine in engines:
        engine.recognize(speeches[0])
    for _ in range(repeat):
        for number, speech in enumerate(speeches):
            for engine in engines:
                engine.time(number, speech)
    return sherpa, ort


def sherpa_onnx(precision: Precision, threads: int) -> Recognize:
    engine = SherpaEngine(ModelStore().path(MODELS[precision]), precision=precision, threads=threads)
    return lambda speech: engine.recognize([speech])[0]


def onnx_runtime(precision: Precision, threads: int) -> Recognize:
    layout, placement = detect(ModelStore().path(MODELS[precision]), precision), Placement(threads=threads)
    encoder = Session(layout.files["encoder"], placement)
    front_end = SherpaWhisperFeatures()
    pipeline = WhisperPipeline(
        front_end,
        NumpyFeatures(front_end, ThreadPoolExecutor(1), channels_first=True),
        Lanes.one(Profiles((parse("1x30"),)), encoder),
        WhisperSearch(layout.files["decoder"], encoder.metadata, placement),
        read_texts(layout.tokens, encoder.metadata),
    )
    return lambda speech: pipeline.recognize([speech])[0]


def agreement(expected: list[Recognition], found: list[Recognition]) -> str:
    """Utterances with the same words, and how many of their tokens begin in the same frame, or at most one beside it."""
    same = [
        (a.tokens, b.tokens)
        for a, b in zip(expected, found, strict=True)
        if [token.text for token in a.tokens] == [token.text for token in b.tokens]
    ]
    off = np.array(
        [
            round(abs((a.start or 0.0) - (b.start or 0.0)) / FRAME_SECONDS)
            for pair in same
            for a, b in zip(*pair, strict=True)
        ]
    )
    return f"{len(same)} of {len(expected)} | {(off == 0).mean():.1%}, {(off <= 1).mean():.1%}"


def utterances() -> Iterator[Samples]:
    yield from (in_floats(recording.samples) for recording in clips())
    joined, telephone = in_floats(conversation(80).samples), in_floats(sample().samples)
    yield from (piece(joined, start, start + 20) for start in (0, 20, 40, 60))
    yield from (piece(telephone, *bounds) for bounds in ((6, 29), (0, 10), (10, 20), (12, 14), (20, 29)))
    for name in MEETINGS:
        yield from (piece(in_floats(meeting(name).samples), *bounds) for bounds in ((0, 12), (12, 28)))


def in_floats(samples: CorpusSamples) -> Samples:
    return samples.astype(np.float32) / np.float32(32768)


def piece(samples: Samples, start: int, end: int) -> Samples:
    return samples[start * SAMPLE_RATE : end * SAMPLE_RATE]


def disturbed(speeches: list[Speech]) -> Iterator[Speech]:
    random = np.random.default_rng(0)
    for speech in speeches:
        noise = random.uniform(-INAUDIBLE, INAUDIBLE, len(speech.samples))
        yield Speech((speech.samples + noise).astype(np.float32))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--precision", choices=MODELS, default="int8")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
