"""NeMo's models with random weights that decode like trained ones."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.networks import fastconformer, greedy
from workbench.networks.listening import babble, log_mel, normalized
from workbench.networks.masked_subsampling import MaskedSubsampling
from workbench.networks.nemo_ctc import Ctc, Encoder
from workbench.networks.prediction import Dimensions, Joint, PredictionNetwork
from workbench.networks.weights import calibrate, received, seeded, settle, spread

PIECES_A_SECOND = 4.0
"""What a model of word pieces emits; one of letters wants three times as many."""

_UTTERANCES = 8
_SECONDS = 10
# Standard deviations of what the joint adds up.
_OF_FRAMES, _OF_TOKENS = 1.0, 1.0
# Directions that layers look at: of sound, and of the joint's hidden values, which tokens move as well.
_OF_SOUND, _OF_BOTH = 32, 128
_HISTORIES, _HISTORY = 16, 40


@dataclass(frozen=True)
class Transducer:
    """RNN-T, or TDT where the joint gives durations."""

    encoder: fastconformer.FastConformer
    prediction: PredictionNetwork
    joint: Joint

    @property
    def dims(self) -> Dimensions:
        return self.joint.dims

    def search(self, encoded: Tensor, lengths: Tensor) -> list[greedy.Hypothesis]:
        """Greedy search; `encoded` [B, D, T] with lengths [B]."""
        return greedy.search(self.prediction, self.joint, encoded, lengths)


def transducer(
    encoder: fastconformer.Dimensions,
    decoder: Dimensions,
    *,
    seed: int = 0,
    device: str = "cpu",
    rate: float = PIECES_A_SECOND,
) -> Transducer:
    """A model that emits about `rate` tokens a second of speech-like sound; the same for a seed."""
    with seeded(seed):
        model = Transducer(
            fastconformer.FastConformer(encoder).eval().to(device),
            PredictionNetwork(decoder).eval().to(device),
            Joint(decoder).eval().to(device),
        )
    source = torch.Generator().manual_seed(seed)
    encoded, lengths = settled(model.encoder, source)
    frames = encoded.transpose(1, 2).flatten(end_dim=1)
    spread(model.joint.enc, frames, _OF_FRAMES, source, _OF_SOUND)
    _spread_tokens(model, source)

    def decode() -> list[list[int]]:
        return [found.tokens for found in model.search(encoded, lengths)]

    calibrate(model.joint.out, decoder.tokens, decode, rate * _SECONDS, source, _OF_BOTH)
    return model


def transducer_encoder(
    dims: fastconformer.Dimensions, *, seed: int = 0, device: str = "cpu"
) -> fastconformer.FastConformer:
    """The encoder of the `transducer` of this seed, much sooner: nothing is decoded."""
    with seeded(seed):
        encoder = fastconformer.FastConformer(dims).eval().to(device)
    _settle(encoder, *_heard_by(encoder), torch.Generator().manual_seed(seed))
    return encoder


def ctc(
    encoder: Callable[[], Encoder],
    tokens: int,
    *,
    seed: int = 0,
    device: str = "cpu",
    rate: float = PIECES_A_SECOND,
) -> Ctc:
    """A model around the encoder that `encoder` makes, which emits about `rate` tokens a second; the same for a seed."""
    with seeded(seed):
        model = Ctc(encoder(), tokens).eval().to(device)
    source = torch.Generator().manual_seed(seed)
    encoded, lengths = settled(model.encoder, source)

    def decode() -> list[list[int]]:
        return greedy.collapsed(model.log_probs(encoded), lengths, tokens)

    calibrate(model.decoder, tokens, decode, rate * _SECONDS, source, _OF_SOUND)
    return model


def settled(encoder: Encoder, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """What `encoder` makes of what weights are calibrated on, once that passes through it as through a trained one."""
    features, lengths = _heard_by(encoder)
    _settle(encoder, features, lengths, source)
    with torch.no_grad():
        encoded, lengths = encoder(features, lengths)
    return encoded, lengths


def _settle(encoder: Encoder, features: Tensor, lengths: Tensor, source: torch.Generator) -> None:
    if isinstance(encoder, fastconformer.FastConformer):
        _spread_subsampling(encoder.pre_encode, features, lengths, source)
    settle(encoder, features, lengths)


def _heard_by(encoder: Encoder) -> tuple[Tensor, Tensor]:
    device = next(encoder.parameters()).device
    features, lengths = heard(encoder.dims.mel_bins)
    return features.to(device), lengths.to(device)


def _spread_subsampling(
    layer: MaskedSubsampling, features: Tensor, lengths: Tensor, source: torch.Generator
) -> None:
    """Fresh, it gives every frame nearly the same, and half precision loses what little differs."""
    with torch.no_grad():
        inputs = received(layer.out, lambda: layer(features.transpose(1, 2), lengths))
    spread(layer.out, inputs, 1.0, source, _OF_SOUND)


def heard(mel_bins: int) -> tuple[Tensor, Tensor]:
    """Features [B, mel, T] and lengths [B] of what weights are calibrated on."""
    utterances = [normalized(log_mel(babble(_SECONDS, seed), mel_bins)) for seed in range(_UTTERANCES)]
    return torch.stack(utterances), torch.tensor([utterance.shape[1] for utterance in utterances])


def _spread_tokens(model: Transducer, source: torch.Generator) -> None:
    device = model.joint.pred.weight.device
    histories = torch.randint(0, model.dims.tokens, (_HISTORIES, _HISTORY), generator=source).to(device)
    with torch.no_grad():
        predicted, _ = model.prediction(histories, model.prediction.initial(_HISTORIES))
    spread(model.joint.pred, predicted.transpose(1, 2).flatten(end_dim=1), _OF_TOKENS, source)
