"""How fast are features computed, and how fast by kaldi-native-fbank?

    python -m benchmarks.features [--seconds 30] [--utterances 16] [--threads 1 2] [--repeat 5]

Computes a batch of noise in so many threads and prints, of the best run, milliseconds a second of audio and seconds of audio
a second. kaldi-native-fbank gets an array a call, as its documentation shows, and its frames are put together again.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import kaldi_native_fbank
import numpy as np

from asr_service.engines.base import Samples
from asr_service.engines.ort.features import (
    KaldiFeatures,
    NemoFeatures,
    OpenAiWhisperFeatures,
    SherpaNemoFeatures,
    SherpaWhisperFeatures,
    stacked,
)
from asr_service.engines.ort.stages import FrontEnd
from serving.times import SAMPLE_RATE

Compute = Callable[[Sequence[Samples], ThreadPoolExecutor], object]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30, help="length of an utterance")
    parser.add_argument("--utterances", type=int, default=16, help="how many of them make a batch")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    noise = np.random.default_rng(0).normal(scale=0.05, size=round(arguments.seconds * SAMPLE_RATE))
    batch = [noise.astype(np.float32)] * arguments.utterances
    audio = arguments.seconds * arguments.utterances
    for name, compute in _contestants().items():
        for threads in arguments.threads:
            seconds = _best(compute, batch, threads, arguments.repeat)
            print(f"{name:36}{threads:3} threads{1000 * seconds / audio:8.3f} ms/s{audio / seconds:9.0f} x")


def _contestants() -> dict[str, Compute]:
    return {
        "icefall": _ours(KaldiFeatures()),
        "icefall, kaldi-native-fbank": _theirs(_fbank),
        "NeMo, 80 bands": _ours(NemoFeatures(80)),
        "NeMo, 128 bands": _ours(NemoFeatures(128)),
        "sherpa-onnx's NeMo, 128 bands": _ours(SherpaNemoFeatures(128, ctc=False, normalize=True)),
        "OpenAI's Whisper": _ours(OpenAiWhisperFeatures()),
        "sherpa-onnx's Whisper": _ours(SherpaWhisperFeatures()),
        "Whisper, kaldi-native-fbank": _theirs(_whisper),
    }


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


def _ours(front_end: FrontEnd) -> Compute:
    return lambda batch, executor: stacked(front_end, batch, executor)


def _theirs(create: Callable[[], kaldi_native_fbank.OnlineFbank]) -> Compute:
    def features(samples: Samples) -> object:
        fbank = create()
        fbank.accept_waveform(SAMPLE_RATE, samples)
        fbank.input_finished()
        return np.stack([fbank.get_frame(number) for number in range(fbank.num_frames_ready)])

    return lambda batch, executor: list(executor.map(features, batch))


def _fbank() -> kaldi_native_fbank.OnlineFbank:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = 80
    options.mel_opts.high_freq = -400
    return kaldi_native_fbank.OnlineFbank(options)


def _whisper() -> kaldi_native_fbank.OnlineWhisperFbank:
    return kaldi_native_fbank.OnlineWhisperFbank(kaldi_native_fbank.WhisperFeatureOptions())


if __name__ == "__main__":
    main()
