"""Greedy search of CTC, RNN-T and TDT over a batch: to calibrate weights, and to compare exports with."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from workbench.networks.prediction import Joint, PredictionNetwork, States

MOST_OF_RNNT, MOST_OF_TDT = 10, 5
"""Tokens at one frame, as sherpa-onnx limits them."""


@dataclass
class Hypothesis:
    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)


@torch.inference_mode()
def search(prediction: PredictionNetwork, joint: Joint, encoded: Tensor, lengths: Tensor) -> list[Hypothesis]:
    """`encoded` [B, D, T] with lengths [B] → a hypothesis an utterance.

    A token feeds the prediction network, blank does not. Blank moves on by at least one frame; a TDT token by its
    duration, and by one frame where that stays 0 for too many tokens.
    """
    device, batch = encoded.device, encoded.shape[0]
    blank, most = prediction.dims.tokens, MOST_OF_TDT if prediction.dims.durations else MOST_OF_RNNT
    hypotheses = [Hypothesis() for _ in range(batch)]
    frame = torch.zeros(batch, dtype=torch.long, device=device)
    symbols = torch.zeros_like(frame)
    predicted, states = prediction(torch.full((batch, 1), blank, device=device), prediction.initial(batch))
    while len(rows := torch.nonzero(frame < lengths)[:, 0]):
        logits = joint(encoded[rows, :, frame[rows]].unsqueeze(2), predicted[rows])[:, 0, 0]
        token, step = decide(logits, blank)
        emitting = token != blank
        _note(hypotheses, rows[emitting], token[emitting], frame[rows[emitting]])
        symbols[rows] = torch.where(emitting, symbols[rows] + 1, 0)
        stuck = (step == 0) & (~emitting | (symbols[rows] >= most))
        step = torch.where(stuck, 1, step)
        symbols[rows] = torch.where(step > 0, 0, symbols[rows])
        frame[rows] += step
        predicted, states = _advanced(prediction, predicted, states, rows[emitting], token[emitting])
    return hypotheses


def collapsed(log_probs: Tensor, lengths: Tensor, blank: int) -> list[list[int]]:
    """CTC's best paths without repetitions and blanks; [B, T, tokens + 1] with lengths [B]."""
    paths = log_probs.argmax(dim=2)
    return [
        [token for token in path[:length].unique_consecutive().tolist() if token != blank]
        for path, length in zip(paths, lengths.tolist(), strict=True)
    ]


def decide(logits: Tensor, blank: int) -> tuple[Tensor, Tensor]:
    """Token and frames to move on, [B] each, from [B, tokens + 1 + durations]; RNN-T moves by nothing else than blanks."""
    token = logits[:, : blank + 1].argmax(dim=1)
    durations = logits[:, blank + 1 :]
    step = durations.argmax(dim=1) if durations.shape[1] else torch.zeros_like(token)
    return token, step


def _note(hypotheses: list[Hypothesis], rows: Tensor, tokens: Tensor, frames: Tensor) -> None:
    for row, token, frame in zip(rows.tolist(), tokens.tolist(), frames.tolist(), strict=True):
        hypotheses[row].tokens.append(token)
        hypotheses[row].frames.append(frame)


def _advanced(
    prediction: PredictionNetwork, predicted: Tensor, states: States, rows: Tensor, tokens: Tensor
) -> tuple[Tensor, States]:
    """The prediction and the states, stepped in the rows that emitted."""
    if not len(rows):
        return predicted, states
    hidden, cell = states
    new, (new_hidden, new_cell) = prediction(tokens.unsqueeze(1), (hidden[:, rows], cell[:, rows]))
    predicted, hidden, cell = predicted.clone(), hidden.clone(), cell.clone()
    predicted[rows], hidden[:, rows], cell[:, rows] = new, new_hidden, new_cell
    return predicted, (hidden, cell)
