"""NeMo's recognition in one network: samples → features → CTC model → tokens.

What NeMo does around its model is written here with operators that TensorRT and ONNX Runtime's CUDA provider both have:
products of matrices in place of Fourier transforms, sums in place of loops and sorting.
"""

from collections.abc import Callable
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from asr_service.engines.ort.features.filters import slaney_filters
from asr_service.engines.ort.features.kaldi import PREEMPHASIS, SIZE
from asr_service.engines.ort.features.nemo import GUARD
from asr_service.engines.ort.features.spectrum import HANN, LENGTH, STEP, MelSpectrum
from workbench.networks.nemo_ctc import Ctc

FILLING = -1
"""What stands behind the last token of a row."""

_LOUDER = 64.0
"""Times which power is summed; normalisation takes it out again. TensorRT may choose half precision, of 6e-8 to 65504: squared
spectra of a full-scale sine reach 39,000, and the guard of silence is 6e-8 by itself."""

_LEAST_DEVIATION = 1e-5


class LogMel(nn.Module):
    """As asr_service.engines.ort.features.NemoFeatures, with its constants, for batches; in single precision always."""

    waves: Tensor
    filters: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        spectrum = MelSpectrum(HANN, SIZE, slaney_filters(bins, SIZE, 8000))
        waves, filters = spectrum.matrices(np.eye(LENGTH))
        self.register_buffer("waves", torch.from_numpy(waves).float(), persistent=False)
        self.register_buffer("filters", torch.from_numpy(_LOUDER * filters).float(), persistent=False)
        self._guard = _LOUDER * float(GUARD)

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples [B, S] at 16 kHz, S in whole steps of 160, and lengths [B] → [B, bins, S / 160] and their lengths [B]."""
        spectra = _framed(_emphasized(samples, lengths)) @ self.waves
        logarithms = torch.log(spectra.square() @ self.filters + self._guard)
        lengths = torch.div(lengths, STEP, rounding_mode="trunc")
        return _normalized(logarithms, lengths).transpose(1, 2), lengths

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moves to another device, and stays in single precision where a whole network is halved."""
        super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)  # type: ignore[no-untyped-call]
        return self


class Pipeline(nn.Module):
    """The model may be halved."""

    def __init__(self, model: Ctc) -> None:
        super().__init__()
        self.preprocessor = LogMel(model.encoder.dims.mel_bins)
        self.model = model

    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Samples [B, S] and lengths [B] as `LogMel` takes them → tokens and log-probabilities, [B, T'] both.

        A row's tokens stand in its first columns and FILLING in the others. Log-probabilities are of the best token of each
        frame, blank included, and 0 behind the last.
        """
        features, frames = self.preprocessor(audio_signal, length)
        encoded, frames = self.model.encoder(features.to(self.model.decoder.weight.dtype), frames)
        # Not argmax, for which ONNX Runtime long had no CUDA kernel.
        log_probs, best = self.model.log_probs(encoded).topk(1, dim=2)
        heard = _heard(encoded.shape[2], frames)
        tokens = collapsed(best.squeeze(2), heard, self.model.tokens)
        return tokens, log_probs.squeeze(2).masked_fill(~heard, 0.0)


def collapsed(best: Tensor, heard: Tensor, blank: int) -> Tensor:
    """Best tokens of frames, [B, T], without repetitions, blanks, and frames that are not `heard`: [B, T], FILLING behind."""
    changed = torch.cat([best[:, :1] != blank, best[:, 1:] != best[:, :-1]], dim=1)
    kept = heard & (best != blank) & changed
    frames = torch.arange(best.shape[1], device=best.device)
    # A running sum as a product, since TensorRT runs others as loops. Places are computed with instead of tokens, for half
    # precision has all of their numbers.
    up_to = (frames.unsqueeze(1) <= frames).float()
    places = (kept.float() @ up_to).to(frames.dtype) - 1
    goes = kept.unsqueeze(1) & (places.unsqueeze(1) == frames.unsqueeze(1))
    came_from = torch.where(goes, frames.float(), FILLING).amax(dim=2)
    tokens = best.gather(1, came_from.clamp(min=0).to(frames.dtype))
    return torch.where(came_from >= 0, tokens, FILLING)


def _heard(frames: int, lengths: Tensor) -> Tensor:
    """[B, frames]: True for an utterance's own."""
    return torch.arange(frames, device=lengths.device) < lengths.unsqueeze(1)


def _emphasized(samples: Tensor, lengths: Tensor) -> Tensor:
    """Nothing of it is left behind an utterance's last sample."""
    rising = torch.cat([samples[:, :1], samples[:, 1:] - float(PREEMPHASIS) * samples[:, :-1]], dim=1)
    return rising.masked_fill(~_heard(samples.shape[1], lengths), 0.0)


def _framed(signal: Tensor) -> Tensor:
    """[B, S] → [B, S / STEP, LENGTH]: frames around each STEP, which are two of them and a half."""
    padded = functional.pad(signal, (LENGTH // 2, 2 * STEP - LENGTH // 2))
    steps = padded.view(padded.shape[0], -1, STEP)
    return torch.cat([steps[:, :-2], steps[:, 1:-1], steps[:, 2:, : LENGTH - 2 * STEP]], dim=2)


def _normalized(logarithms: Tensor, lengths: Tensor) -> Tensor:
    """[B, T, bins] with mean 0 and deviation 1 over an utterance's frames; 0 in others."""
    heard = _heard(logarithms.shape[1], lengths).to(logarithms.dtype).unsqueeze(1)
    count = lengths.to(logarithms.dtype)[:, None, None]
    centred = (logarithms - (heard / count.clamp(min=1)) @ logarithms) * heard.transpose(1, 2)
    variance = (heard / (count - 1).clamp(min=1)) @ centred.square()
    return centred / (variance.sqrt() + _LEAST_DEVIATION)
