"""The graphs that `duoscribe triton export` writes, on a GPU as Triton's ONNX Runtime backend runs them.

    python -m benchmarks.triton_graphs MODEL [--provider tensorrt|cuda|cpu] [--sound SPEECH.npy] [--rows 1 8 32] [--seconds 5 20]

Needs neither Triton nor its packages. The encoder gets the very options that its config.pbtxt holds, translated as the backend
does (triton-inference-server/onnxruntime_backend, src/onnxruntime.cc). Prints how long loading took, TensorRT's build within it, and
for each batch what share of its tokens a CPU finds as well with the same graphs, and the time from audio to tokens, the median of
some runs. Sound is speech-like unless a file has some, int16 of shape (utterances, samples): benchmarks.gpu_models writes one
beside its models.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from asr_service.engines.ort.devices import look
from asr_service.engines.ort.gate import token_agreement
from asr_service.engines.ort.profiles import parse
from asr_service.engines.ort.providers import CUDA, TENSORRT, Request, placement
from asr_service.engines.ort.runtime import Placement, Session
from asr_service.engines.ort.settings import Provider
from asr_service.engines.ort.speechlike import speech_like
from asr_service.tensor_names import AUDIO
from asr_service.triton.assembling import Assembly
from asr_service.triton.families import exportable
from asr_service.triton.graphs import write_graphs
from asr_service.triton.options import Options
from asr_service.triton.parts import Part
from serving.models.store import ModelStore
from serving.times import SAMPLE_RATE

_RENAMED = {"max_workspace_size_bytes": "trt_max_workspace_size"}
_PRECISIONS = {"FP32": {}, "FP16": {"trt_fp16_enable": "true"}, "BF16": {"trt_bf16_enable": "true"}}
_RUNS = 10

Sound = npt.NDArray[np.float32]


def as_triton_does(accelerator: Mapping[str, str]) -> Placement:
    """What TensorRT leaves goes to CUDA."""
    options = {_RENAMED.get(name, name): value for name, value in accelerator.items()}
    precision = _PRECISIONS[options.pop("precision_mode")]
    return Placement(((TENSORRT, {**precision, **options}), (CUDA, {})), "cuda")


def run(parts: Sequence[tuple[Part, Session]], audio: Sound) -> npt.NDArray[np.int64]:
    """Tokens of a batch; between the graphs tensors stay where they are."""
    known: dict[str, Any] = {AUDIO: audio, "lengths": np.full(len(audio), audio.shape[1])}
    for part, session in parts:
        inputs = {tensor.name: known[part.takes[tensor.name]] for tensor in part.inputs}
        outputs = session.run(inputs, keep=session.outputs)
        known |= {ours: outputs[name] for name, ours in part.gives.items()}
    tokens: npt.NDArray[np.int64] = known["token_ids"].numpy()
    return tokens


def opened(assembly: Assembly, graphs: Mapping[str, Path], provider: Provider) -> list[tuple[Part, Session]]:
    """The three that are graphs."""
    on_cpu = {name: Session(path, Placement(threads=4)) for name, path in graphs.items()}
    parts = [part for part in assembly.parts(on_cpu) if part.name in graphs]
    if provider == "cpu":
        return [(part, on_cpu[part.name]) for part in parts]
    on_cuda = placement(Request(provider="cuda", onnxruntime=look().version))
    places = {
        part.name: as_triton_does(part.accelerator)
        if provider == "tensorrt" and part.accelerator
        else on_cuda
        for part in parts
    }
    return [(part, Session(graphs[part.name], places[part.name])) for part in parts]


def batch(sound: Sound | None, rows: int, seconds: float) -> Sound:
    length = round(seconds * SAMPLE_RATE)
    if sound is None:
        return np.stack([speech_like(seconds, seed=row) for row in range(rows)])
    pieces = [np.roll(sound[row % len(sound)], -row * SAMPLE_RATE)[:length] for row in range(rows)]
    return np.stack(pieces)


def said(tokens: npt.NDArray[np.int64]) -> list[list[int]]:
    return [[token for token in row if token >= 0] for row in tokens.tolist()]


def milliseconds(parts: Sequence[tuple[Part, Session]], audio: Sound) -> float:
    times = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        run(parts, audio)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def measure(options: argparse.Namespace, folder: Path) -> None:
    model = exportable(ModelStore().path(options.model), None)
    profile = parse(options.profile)
    engines = folder / "engines"
    engines.mkdir()
    assembly = Assembly(model, Options(profile, precision=options.precision), str(engines))
    graphs = write_graphs(assembly, lambda part: folder / part / "model.onnx")
    sound = np.load(options.sound).astype(np.float32) / 32768 if options.sound else None
    began = time.perf_counter()
    parts = opened(assembly, graphs, options.provider)
    run(parts, batch(sound, 1, options.seconds[0]))
    print(
        f"onnxruntime {onnxruntime.__version__}, {options.provider}: {time.perf_counter() - began:.1f} s to load"
    )
    reference = opened(assembly, graphs, "cpu")
    print("| rows | seconds | tokens as on a CPU | ms | audio s/s |\n| --- | --- | --- | --- | --- |")
    for seconds in options.seconds:
        for rows in options.rows:
            audio = batch(sound, rows, seconds)
            agreement = token_agreement(said(run(reference, audio[:4])), said(run(parts, audio))[:4])
            took = milliseconds(parts, audio)
            print(
                f"| {rows} | {seconds:g} | {agreement:.4f} | {took:.1f} | {rows * seconds / took * 1000:.0f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--provider", choices=["cpu", "cuda", "tensorrt"], default="tensorrt")
    parser.add_argument("--precision", choices=["fp16", "bf16", "fp32"], default="fp16")
    parser.add_argument("--profile", default="1:8:32x0.5:20:20")
    parser.add_argument("--sound", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, nargs="+", default=[5.0, 20.0])
    with tempfile.TemporaryDirectory() as folder:
        measure(parser.parse_args(), Path(folder))


if __name__ == "__main__":
    main()
