"""How fast are features computed, and how fast by kaldi-native-fbank?

    python -m benchmarks.features [--seconds 30] [--utterances 16] [--threads 1 2] [--repeat 5] [--provider cuda]

Computes a batch of speech-like sound in so many threads and prints, of the best run, milliseconds a second of audio and
seconds of audio a second. kaldi-native-fbank gets an array a call, as its documentation shows, and its frames are put
together again; it is left out where it is not installed. The graph runs on the provider, its outputs stay there; of its
line, milliseconds of the whole batch and how far its features are from NumPy's follow: the largest difference, and what
99.9 % are within. "samples put together" is the part of it that the host has.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from asr_service.engines.base import Samples
from asr_service.engines.ort.devices import look
from asr_service.engines.ort.features import (
    GraphFeatures,
    KaldiFeatures,
    NemoFeatures,
    OpenAiWhisperFeatures,
    SherpaNemoFeatures,
    SherpaWhisperFeatures,
    stacked,
)
from asr_service.engines.ort.features.device import AT_ONCE
from asr_service.engines.ort.features.packing import Packer
from asr_service.engines.ort.providers import Request, always_rounds, placement
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.settings import Provider
from asr_service.engines.ort.speechlike import speech_like
from asr_service.engines.ort.stages import FrontEnd, GraphFrontEnd, Part
from serving.times import SAMPLE_RATE

Compute = Callable[[Sequence[Samples], ThreadPoolExecutor], object]

FRONT_ENDS: dict[str, GraphFrontEnd] = {
    "icefall": KaldiFeatures(),
    "NeMo, 80 bands": NemoFeatures(80),
    "NeMo, 128 bands": NemoFeatures(128),
    "sherpa-onnx's NeMo, 128": SherpaNemoFeatures(128, ctc=False, normalize=True),
    "OpenAI's Whisper": OpenAiWhisperFeatures(),
    "sherpa-onnx's Whisper": SherpaWhisperFeatures(),
}


@dataclass(frozen=True)
class Place:
    """Where the graph runs."""

    placement: Placement
    doubles: bool


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30, help="length of an utterance")
    parser.add_argument("--utterances", type=int, default=16, help="how many of them make a batch")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--provider", choices=("cpu", "cuda"), default="cpu", help="where the graph runs")
    arguments = parser.parse_args()
    sound = speech_like(arguments.seconds)
    batch = [sound.copy() for _ in range(arguments.utterances)]
    audio = arguments.seconds * arguments.utterances
    for name, compute in _contestants(_place(arguments.provider), sound).items():
        for threads in arguments.threads:
            seconds = _best(compute, batch, threads, arguments.repeat)
            print(
                f"{name:48}{threads:3} threads{1000 * seconds / audio:8.3f} ms/s{audio / seconds:9.0f} x"
                f"{1000 * seconds:9.1f} ms",
                flush=True,
            )


def _contestants(place: Place, sound: Samples) -> dict[str, Compute]:
    found: dict[str, Compute] = {}
    for name, front_end in FRONT_ENDS.items():
        found[name] = _numpy(front_end)
        found[f"{name}, graph{_errors(front_end, place, sound)}"] = _graph(front_end, place)
    found["samples put together"] = _packing(next(iter(FRONT_ENDS.values())))
    if find_spec("kaldi_native_fbank"):
        found |= {
            "icefall, kaldi-native-fbank": _theirs(_fbank),
            "Whisper, kaldi-native-fbank": _theirs(_whisper),
        }
    return found


def _place(provider: Provider) -> Place:
    version = look().version
    request = Request(provider=provider, onnxruntime=version, precision="fp32")
    return Place(placement(request), doubles=provider != "cpu" and always_rounds(version))


def _best(compute: Compute, batch: Sequence[Samples], threads: int, repeat: int) -> float:
    """Wall seconds."""
    times = []
    with ThreadPoolExecutor(threads) as executor:
        compute(batch[:threads], executor)
        for _ in range(repeat):
            start = time.perf_counter()
            compute(batch, executor)
            times.append(time.perf_counter() - start)
    return min(times)


def _numpy(front_end: FrontEnd) -> Compute:
    return lambda batch, executor: stacked(front_end, batch, executor)


def _graph(front_end: GraphFrontEnd, place: Place) -> Compute:
    made = _making(front_end, place)
    return lambda batch, executor: list(made(executor)(batch).parts([Part(len(batch), len(batch))]))


def _packing(front_end: GraphFrontEnd) -> Compute:
    packers = cache(lambda pool: Packer(front_end, pool, AT_ONCE))

    def pack(batch: Sequence[Samples], pool: ThreadPoolExecutor) -> None:
        packer, frames = packers(pool), front_end.frames(len(batch[0]))
        most = packer.most(frames)
        for first in range(0, len(batch), most):
            packing = packer.pack(batch[first : first + most], frames)
            packing.wait()
            packer.give_back(packing)

    return pack


def _making(front_end: GraphFrontEnd, place: Place) -> Callable[[ThreadPoolExecutor], GraphFeatures]:
    """One for each pool, made when it is first asked for."""
    return cache(lambda pool: GraphFeatures(front_end, place.placement, pool, doubles=place.doubles))


def _errors(front_end: GraphFrontEnd, place: Place, sound: Samples) -> str:
    with ThreadPoolExecutor(1) as pool:
        features = GraphFeatures(front_end, place.placement, pool, doubles=place.doubles)
        ((found, _),) = features([sound]).parts([Part(1, 1)])
    difference = np.abs(found.numpy()[0] - front_end(sound))
    return f" ({difference.max():.0e}, {np.quantile(difference, 0.999):.0e})"


def _theirs(create: Callable[[], Any]) -> Compute:
    def features(samples: Samples) -> object:
        fbank = create()
        fbank.accept_waveform(SAMPLE_RATE, samples)
        fbank.input_finished()
        return np.stack([fbank.get_frame(number) for number in range(fbank.num_frames_ready)])

    return lambda batch, executor: list(executor.map(features, batch))


def _fbank() -> Any:
    import kaldi_native_fbank  # noqa: PLC0415 - not on every machine with a GPU

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = 80
    options.mel_opts.high_freq = -400
    return kaldi_native_fbank.OnlineFbank(options)


def _whisper() -> Any:
    import kaldi_native_fbank  # noqa: PLC0415 - not on every machine with a GPU

    return kaldi_native_fbank.OnlineWhisperFbank(kaldi_native_fbank.WhisperFeatureOptions())


if __name__ == "__main__":
    main()
