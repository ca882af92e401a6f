"""icefall's models with random weights that decode like trained ones."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from asr_service.engines.ort.features import KaldiFeatures
from tools.networks import stateless
from tools.networks.icefall_ctc import BLANK, Ctc, collapsed
from tools.networks.icefall_encoder import Encoder
from tools.networks.listening import babble
from tools.networks.stateless_greedy import search
from tools.networks.unit_variance import standardize
from tools.networks.weights import calibrate, received, seeded, spread

TOKENS_A_SECOND = 4.0

_UTTERANCES = 4
_SECONDS = 10
_WANTED = TOKENS_A_SECOND * _SECONDS
# Standard deviations of what the joiner adds up: the frame outweighs the context.
_OF_FRAMES, _OF_CONTEXTS = 1.0, 0.7


@contextmanager
def one_thread() -> Iterator[None]:
    """For products so small that threads would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def transducer(
    encoder: Callable[[], Encoder], dims: stateless.Dimensions, *, seed: int = 0
) -> stateless.Transducer:
    """A model around the encoder that `encoder` makes; the same for a seed."""
    source = torch.Generator().manual_seed(seed)
    with seeded(seed):
        model = stateless.Transducer(encoder(), dims).eval()
    hidden, lengths = hear(model.encoder.encoder)
    projection = model.encoder.encoder_proj
    spread(projection, hidden.flatten(end_dim=1), _OF_FRAMES, source)
    _spread_contexts(model.decoder, source)
    frames = projection(hidden)

    def decode() -> list[list[int]]:
        return [found.tokens for found in search(model.decoder, model.joiner, frames, lengths)]

    calibrate(model.joiner.output_linear, stateless.BLANK, decode, _WANTED, source)
    return model


@one_thread()
def ctc(encoder: Callable[[], Encoder], vocabulary: int, *, seed: int = 0) -> Ctc:
    """A model around the encoder that `encoder` makes; the same for a seed."""
    source = torch.Generator().manual_seed(seed)
    with seeded(seed):
        model = Ctc(encoder(), vocabulary).eval()
    frames, lengths = hear(model.encoder)

    def decode() -> list[list[int]]:
        return collapsed(model.ctc_output(frames), lengths)

    calibrate(model.ctc_output, BLANK, decode, _WANTED, source)
    return model


def hear(encoder: Encoder) -> tuple[Tensor, Tensor]:
    """Frames [N, T', width] and lengths [N] of some babble, to which the encoder's ears are adapted first."""
    features, lengths = some_features(encoder.mel_bins)
    standardize(encoder.encoder_embed, lambda: encoder.encoder_embed(features))
    with torch.inference_mode():
        frames, lengths = encoder(features, lengths)
    return frames.clone(), lengths


def some_features(mel_bins: int) -> tuple[Tensor, Tensor]:
    """Features [N, T, mel] and lengths [N] of babble."""
    front_end = KaldiFeatures(mel_bins)
    sounds = (babble(_SECONDS, seed) for seed in range(_UTTERANCES))
    features = torch.stack([torch.from_numpy(front_end(sound.numpy())) for sound in sounds])
    return features, torch.full((len(features),), features.shape[1])


def _spread_contexts(decoder: stateless.Decoder, source: torch.Generator) -> None:
    size = (1000, decoder.conv.kernel_size[0])
    contexts = torch.randint(0, decoder.embedding.num_embeddings, size, generator=source)
    spread(
        decoder.decoder_proj, received(decoder.decoder_proj, lambda: decoder(contexts)), _OF_CONTEXTS, source
    )
