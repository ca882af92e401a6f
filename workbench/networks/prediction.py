"""NeMo's transducer decoders: the prediction network and the joint of RNN-T (Graves 2012) and TDT (Xu et al. 2023).

Reference: NVIDIA/NeMo, nemo/collections/asr/modules/rnnt.py. TDT's joint gives logits of durations behind the tokens'.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

States = tuple[Tensor, Tensor]
"""Hidden and cell, each [layers, B, width]."""


@dataclass(frozen=True)
class Dimensions:
    """Sizes of a decoder; `tokens` does not count blank, whose id it is."""

    tokens: int
    encoder: int
    width: int = 640
    layers: int = 2
    # How many frames a TDT token can last, one less than this; 0 for RNN-T.
    durations: int = 0


PARAKEET_TDT_0_6B_V3 = Dimensions(tokens=8192, encoder=1024, durations=5)
LARGE_RNNT = Dimensions(tokens=1024, encoder=512, layers=1)


class PredictionNetwork(nn.Module):
    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        self.dims = dims
        # Blank stands for the start: a vector of zeros.
        self.embed = nn.Embedding(dims.tokens + 1, dims.width, padding_idx=dims.tokens)
        self.lstm = nn.LSTM(dims.width, dims.width, dims.layers)
        for layer in range(dims.layers):
            _forget(getattr(self.lstm, f"bias_ih_l{layer}"), dims.width)

    def forward(self, targets: Tensor, states: States) -> tuple[Tensor, States]:
        """Token ids [B, U] and what the tokens before left → [B, width, U] and the states after."""
        predicted, states = self.lstm(self.embed(targets).transpose(0, 1), states)
        return predicted.permute(1, 2, 0), states

    def initial(self, batch: int) -> States:
        weight = self.embed.weight
        state = weight.new_zeros(self.dims.layers, batch, self.dims.width)
        return state, state


def _forget(bias: Tensor, width: int) -> None:
    """Makes the LSTM forget sooner: what one rounding changed, a few tokens later has no consequence."""
    with torch.no_grad():
        # Gates in PyTorch's order: input, forget, cell, output.
        bias[width : 2 * width] -= 1


class Joint(nn.Module):
    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        self.dims = dims
        self.enc = nn.Linear(dims.encoder, dims.width)
        self.pred = nn.Linear(dims.width, dims.width)
        self.out = nn.Linear(dims.width, dims.tokens + 1 + dims.durations)

    def forward(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """[B, D, T] and [B, width, U] → logits [B, T, U, tokens + 1 + durations]."""
        heard = self.enc(encoded.transpose(1, 2)).unsqueeze(2)
        said = self.pred(predicted.transpose(1, 2)).unsqueeze(1)
        return self.out(torch.relu(heard + said))  # type: ignore[no-any-return]
