"""icefall's CTC head (k2-fsa/icefall, egs/librispeech/ASR/zipformer/model.py)."""

import torch
from torch import Tensor, nn

from workbench.networks.icefall_encoder import Encoder

BLANK = 0


class Ctc(nn.Module):
    """An encoder and a linear layer; blank is a token of the vocabulary."""

    def __init__(self, encoder: Encoder, vocabulary: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.ctc_output = nn.Linear(encoder.width, vocabulary)

    def forward(self, x: Tensor, x_lens: Tensor) -> tuple[Tensor, Tensor]:
        """Features [N, T, mel] and lengths [N] int64 → log-probabilities [N, T', vocabulary] and lengths [N] int64."""
        frames, lengths = self.encoder(x, x_lens)
        return torch.log_softmax(self.ctc_output(frames), dim=-1), lengths
