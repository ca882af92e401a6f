"""Greedy search of icefall's transducers over a batch: to calibrate weights, and to compare exports with."""

import torch
from torch import Tensor

from workbench.networks.greedy import Hypothesis
from workbench.networks.stateless import BLANK, UNKNOWN, Decoder, Joiner


@torch.inference_mode()
def search(decoder: Decoder, joiner: Joiner, frames: Tensor, lengths: Tensor) -> list[Hypothesis]:
    """Projected `frames` [N, T, joiner] with lengths [N] → a hypothesis an utterance, of at most one token a frame.

    The unknown token is passed over like blank. What there is not before an utterance's first token is -1 in its context,
    but for a blank right before it.
    """
    hypotheses = [Hypothesis() for _ in frames]
    context = torch.full((len(frames), decoder.conv.kernel_size[0]), -1, device=frames.device)
    context[:, -1] = BLANK
    predicted = decoder(context)
    for frame in range(frames.shape[1]):
        tokens = joiner(frames[:, frame], predicted).argmax(dim=1)
        emitting = (tokens != BLANK) & (tokens != UNKNOWN) & (frame < lengths)
        rows = torch.nonzero(emitting)[:, 0]
        if not len(rows):
            continue
        context[rows] = torch.cat([context[rows, 1:], tokens[rows, None]], dim=1)
        predicted[rows] = decoder(context[rows])
        for row in rows.tolist():
            hypotheses[row].tokens.append(int(tokens[row]))
            hypotheses[row].frames.append(frame)
    return hypotheses
