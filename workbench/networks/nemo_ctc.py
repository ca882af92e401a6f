"""NeMo's CTC head (NVIDIA/NeMo, nemo/collections/asr/modules/conv_asr.py, ConvASRDecoder)."""

import torch
from torch import Tensor, nn

from workbench.networks.fastconformer import FastConformer
from workbench.networks.jasper import Jasper

Encoder = FastConformer | Jasper


class Ctc(nn.Module):
    """An encoder and a convolution of kernel 1; `tokens` does not count blank, whose id it is."""

    def __init__(self, encoder: Encoder, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.encoder = encoder
        self.decoder = nn.Conv1d(encoder.dims.width, tokens + 1, 1)

    def forward(self, audio_signal: Tensor, length: Tensor) -> Tensor:
        """Features [B, mel, T] and lengths [B] int64 → log-probabilities [B, T', tokens + 1]."""
        encoded, _ = self.encoder(audio_signal, length)
        return self.log_probs(encoded)

    def log_probs(self, encoded: Tensor) -> Tensor:
        """[B, width, T'] → [B, T', tokens + 1]."""
        logits: Tensor = self.decoder(encoded)
        return logits.transpose(1, 2).log_softmax(dim=-1)


class UnmaskedCtc(nn.Module):
    """A model whose encoder does not look at lengths, without them: Jasper, which masks nothing."""

    def __init__(self, model: Ctc) -> None:
        super().__init__()
        self.model = model

    def forward(self, audio_signal: Tensor) -> Tensor:
        """Features [B, mel, T] → log-probabilities [B, T', tokens + 1]."""
        batch, _, frames = audio_signal.shape
        log_probs: Tensor = self.model(audio_signal, torch.full((batch,), frames, device=audio_signal.device))
        return log_probs
