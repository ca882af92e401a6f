"""Models of true size with random weights that decode like trained ones, for measuring speed on a GPU.

    python -m benchmarks.gpu_models FOLDER [MODEL …]

writes each into a folder of its name, in the layout that sherpa-onnx's and icefall's scripts export, and beside them the
sound that they decode: speech.npy, int16 of shape (utterances, samples). Needs PyTorch; with a GPU it takes a minute,
without one many.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from workbench.networks import conformer, fastconformer, prediction, stateless, zipformer
from workbench.networks.icefall_export import export_transducer
from workbench.networks.icefall_models import transducer as icefall_transducer
from workbench.networks.listening import babble
from workbench.networks.nemo_export import export_for_sherpa_onnx
from workbench.networks.nemo_models import transducer as nemo_transducer

_UTTERANCES, _SECONDS = 8, 80.0


def fastconformer_tdt(folder: Path) -> None:
    """Parakeet-TDT 0.6B v3's sizes: 24 layers, 1,024 wide, 8,193 tokens, 5 durations."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = nemo_transducer(
        fastconformer.PARAKEET_0_6B, prediction.PARAKEET_TDT_0_6B_V3, device=device, rate=3.3
    )
    for network in (model.encoder, model.prediction, model.joint):
        network.cpu()
    export_for_sherpa_onnx(model, folder)


def zipformer_transducer(folder: Path) -> None:
    """Zipformer as icefall has it for LibriSpeech, medium: 65 M parameters, stateless decoder, 500 tokens."""
    model = icefall_transducer(lambda: zipformer.Zipformer(zipformer.MEDIUM), stateless.LIBRISPEECH)
    export_transducer(model, folder)


def conformer_transducer(folder: Path) -> None:
    """Conformer as icefall has it for LibriSpeech: 12 layers, 512 wide, stateless decoder, 500 tokens."""
    export_transducer(
        icefall_transducer(lambda: conformer.Conformer(conformer.LIBRISPEECH), stateless.LIBRISPEECH), folder
    )


MODELS: Mapping[str, Callable[[Path], None]] = {
    "fastconformer-tdt-0.6b": fastconformer_tdt,
    "conformer-transducer": conformer_transducer,
    "zipformer-transducer": zipformer_transducer,
}


def speech() -> npt.NDArray[np.int16]:
    """What the weights were calibrated on, and more of it."""
    sounds = [babble(_SECONDS, seed).numpy() for seed in range(_UTTERANCES)]
    return (32767 * np.stack(sounds)).astype(np.int16)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all")
    arguments = parser.parse_args()
    if unknown := set(arguments.models) - MODELS.keys():
        parser.error(f"there is no model {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    np.save(arguments.folder / "speech.npy", speech())
    for name in arguments.models or MODELS:
        folder = arguments.folder / name
        folder.mkdir(exist_ok=True)
        begun = time.monotonic()
        MODELS[name](folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{name}: {size / 2**20:.0f} MiB in {time.monotonic() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
