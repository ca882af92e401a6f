"""Vocos, from mel spectrograms to STFT coefficients: 256 frames took 1.03 ms on a Jetson Orin with TensorRT."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cache, partial
from typing import TYPE_CHECKING

from asr_service.engines.ort.profiles import Range
from serving.times import SAMPLE_RATE
from workbench.listening import speech
from workbench.recipe import Arrays, Case, Profile, Recipe, Size, Verdict, Walk

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.networks.vocoder import Vocoder

# As in workbench/networks/vocoder.py, which needs PyTorch.
_HOP, _RATE = 256, 24_000
_PROFILES: Mapping[Size, Profile] = {
    # Speech is synthesised an utterance at a time.
    "full": Profile(Range(1, 1, 32), Range(64, 256, 512)),
    "tiny": Profile(Range(1, 1, 4), Range(16, 32, 64)),
}
_WALKS: Mapping[Size, Walk] = {
    "full": Walk((1, 4, 16, 32), (64, 128, 256, 512)),
    "tiny": Walk((1, 4), (32, 64)),
}


def recipe(size: Size) -> Recipe:
    parameters = "13.5 M" if size == "full" else "0.1 M"
    model = cache(partial(_vocoder, size))
    frames = {0: "batch", 2: "frames"}
    return Recipe(
        name="vocos",
        summary=f"Vocos without its inverse STFT, {parameters} parameters, random weights",
        # A copy, since runtimes change the precision and the device of what they are given.
        network=lambda: deepcopy(model()),
        inputs={"mel": frames},
        outputs={"real": frames, "imaginary": frames},
        sample=_sample,
        seconds=lambda length: length * _HOP / _RATE,
        unit="frames",
        profile=_PROFILES[size],
        walk=_WALKS[size],
        judge=_judge,
    )


def _vocoder(size: Size) -> "Vocoder":
    from workbench.networks import vocoder  # noqa: PLC0415 - with PyTorch
    from workbench.networks.threads import repeatable  # noqa: PLC0415

    dims = {"full": vocoder.MEL_24KHZ, "tiny": vocoder.TINY}[size]
    with repeatable(size):
        return vocoder.vocoder(dims)


def _sample(case: Case, seed: int) -> Arrays:
    """Speech as if it had been recorded at 24 kHz, higher and faster by half: as it is, it has nothing above 8 kHz."""
    import torch  # noqa: PLC0415

    from workbench.networks import vocoder  # noqa: PLC0415 - with PyTorch

    # A frame around each hop, the first and the last sample included.
    samples = (int(case.length) - 1) * _HOP
    heard = speech(Case(case.rows, samples / SAMPLE_RATE), seed)
    return {"mel": vocoder.log_mel(torch.from_numpy(heard)).numpy()}


def _judge(inputs: Arrays, expected: Arrays, outputs: Arrays) -> list[Verdict]:  # noqa: ARG001 - as judges are called
    """What is heard: the inverse STFT of both."""
    from workbench.networks import vocoder  # noqa: PLC0415 - with PyTorch

    wanted, got = _sound(expected), _sound(outputs)
    error = ((got - wanted).norm() / wanted.norm()).item()
    mel_distance = (vocoder.log_mel(got) - vocoder.log_mel(wanted)).abs().mean().item()
    return [
        Verdict("waveform error", error, 0.1),
        Verdict("mel distance", mel_distance, 0.1),
    ]


def _sound(outputs: Arrays) -> "Tensor":
    import torch  # noqa: PLC0415

    from workbench.networks import vocoder  # noqa: PLC0415 - with PyTorch

    return vocoder.sound(*(torch.from_numpy(outputs[name]) for name in ("real", "imaginary")))
