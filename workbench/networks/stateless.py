"""icefall's transducers: any encoder, a decoder that knows the last few tokens only, and a joiner.

Ghodsi et al. 2020, "RNN-Transducer with Stateless Prediction Network". Reference: k2-fsa/icefall,
egs/librispeech/ASR/zipformer/decoder.py and joiner.py.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.networks.icefall_encoder import Encoder

BLANK, UNKNOWN = 0, 2


@dataclass(frozen=True)
class Dimensions:
    """Sizes of decoder and joiner. Blank is a token of the vocabulary; `context` tokens are what the decoder sees."""

    vocabulary: int = 500
    width: int = 512
    joiner: int = 512
    context: int = 2


LIBRISPEECH = Dimensions()
TINY = Dimensions(vocabulary=100, width=64, joiner=64)


class ProjectedEncoder(nn.Module):
    def __init__(self, encoder: Encoder, dims: Dimensions) -> None:
        super().__init__()
        self.encoder = encoder
        self.encoder_proj = nn.Linear(encoder.width, dims.joiner)

    def forward(self, x: Tensor, x_lens: Tensor) -> tuple[Tensor, Tensor]:
        """Features [N, T, mel] and lengths [N] int64 → frames [N, T', joiner] and lengths [N] int64."""
        frames, lengths = self.encoder(x, x_lens)
        return self.encoder_proj(frames), lengths


class Decoder(nn.Module):
    """Embeds the last tokens and mixes them, four channels at a time."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        self.embedding = nn.Embedding(dims.vocabulary, dims.width)
        self.conv = nn.Conv1d(dims.width, dims.width, dims.context, groups=dims.width // 4, bias=False)
        self.decoder_proj = nn.Linear(dims.width, dims.joiner)

    def forward(self, y: Tensor) -> Tensor:
        """Tokens [N, context] int64 → [N, joiner]. Negative ones stand before the utterance, and embed as zero."""
        embedded = self.embedding(y.clamp(min=0)) * (y >= 0).unsqueeze(2)
        mixed = torch.relu(self.conv(embedded.transpose(1, 2))).squeeze(2)
        return self.decoder_proj(mixed)  # type: ignore[no-any-return]


class Joiner(nn.Module):
    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        self.output_linear = nn.Linear(dims.joiner, dims.vocabulary)

    def forward(self, encoder_out: Tensor, decoder_out: Tensor) -> Tensor:
        """A frame and a context, both [N, joiner] → logits [N, vocabulary]."""
        return self.output_linear(torch.tanh(encoder_out + decoder_out))  # type: ignore[no-any-return]


class Transducer(nn.Module):
    """The three networks as they are exported: in a checkpoint both projections belong to the joiner."""

    def __init__(self, encoder: Encoder, dims: Dimensions) -> None:
        super().__init__()
        self.dims = dims
        self.encoder = ProjectedEncoder(encoder, dims)
        self.decoder = Decoder(dims)
        self.joiner = Joiner(dims)
