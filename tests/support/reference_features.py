"""Features as others compute them: kaldi-native-fbank, with the options that sherpa-onnx sets, and PyTorch."""

from dataclasses import dataclass
from typing import Any

import kaldi_native_fbank
import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]
RATE = 16_000


@dataclass(frozen=True)
class Fbank:
    """Options of kaldi-native-fbank; the defaults are those of sherpa-onnx for icefall's models."""

    bins: int = 80
    low: float = 20
    high: float = -400
    window: str = "povey"
    remove_offset: bool = True
    librosa: bool = False

    def __call__(self, samples: Array) -> Array:
        """Shape (frames, bins)."""
        return computed(kaldi_native_fbank.OnlineFbank(self._options()), samples, self.bins)

    def filters(self) -> Array:
        """Shape (257, bins)."""
        options = self._options()
        banks = kaldi_native_fbank.MelBanks(options.mel_opts, options.frame_opts)
        return np.asarray(banks.get_matrix()).reshape(self.bins, -1).T

    def _options(self) -> Any:
        options = kaldi_native_fbank.FbankOptions()
        options.frame_opts.dither = 0
        options.frame_opts.snip_edges = False
        options.frame_opts.remove_dc_offset = self.remove_offset
        options.frame_opts.window_type = self.window
        options.mel_opts.num_bins = self.bins
        options.mel_opts.low_freq = self.low
        options.mel_opts.high_freq = self.high
        options.mel_opts.is_librosa = self.librosa
        return options


def sherpa_nemo(bins: int, *, ctc: bool) -> Fbank:
    """Without normalisation."""
    window, high = ("hann", 0) if ctc else ("povey", -400)
    return Fbank(bins, low=0, high=high, window=window, remove_offset=False, librosa=True)


def nemo(samples: Array, bins: int) -> Array:
    """NeMo's own, without normalisation, shape (frames, bins)."""
    options = kaldi_native_fbank.NemoFbankOptions()
    options.num_mel_bins = bins
    fbank = kaldi_native_fbank.OnlineNemoFbank(options)
    fbank.accept_waveform(RATE, samples)
    fbank.input_finished()
    if not fbank.num_frames_ready:
        return np.zeros((0, bins), np.float32)
    values, _ = fbank.get_frames(0, fbank.num_frames_ready, is_final=True)
    return np.asarray(values).reshape(-1, bins)


def sherpa_whisper(samples: Array, bins: int) -> Array:
    """Of the samples alone, shape (frames, bins)."""
    options = kaldi_native_fbank.WhisperFeatureOptions(dim=bins)
    return whisper_scale(computed(kaldi_native_fbank.OnlineWhisperFbank(options), samples, bins))


def openai_whisper(samples: Array, bins: int) -> Array:
    """Of half a minute, shape (3000, bins)."""
    audio = torch.nn.functional.pad(torch.from_numpy(samples), (0, 30 * RATE - len(samples)))
    spectra = torch.stft(audio, 400, 160, window=torch.hann_window(400), return_complex=True)
    options = kaldi_native_fbank.FrameExtractionOptions(round_to_power_of_two=False)
    mel = kaldi_native_fbank.MelBanksOptions(num_bins=bins, low_freq=0, is_librosa=True)
    filters = np.asarray(kaldi_native_fbank.MelBanks(mel, options).get_matrix()).reshape(bins, -1)
    return whisper_scale((filters @ spectra[:, :-1].abs().square().numpy()).T)


def whisper_scale(power: Array) -> Array:
    logarithms = np.log10(np.maximum(power, 1e-10))
    return (np.maximum(logarithms, logarithms.max() - 8) + 4) / 4


def computed(fbank: Any, samples: Array, bins: int) -> Array:
    fbank.accept_waveform(RATE, samples)
    fbank.input_finished()
    frames = [fbank.get_frame(number) for number in range(fbank.num_frames_ready)]
    return np.reshape(frames, (-1, bins))
