"""icefall's models with random weights that decode like trained ones."""

from collections.abc import Callable

import torch

from workbench.networks import stateless
from workbench.networks.greedy import collapsed
from workbench.networks.icefall_ctc import BLANK, Ctc
from workbench.networks.icefall_encoder import Encoder
from workbench.networks.icefall_listening import SECONDS, hear
from workbench.networks.stateless_greedy import search
from workbench.networks.threads import one_thread
from workbench.networks.weights import calibrate, received, seeded, spread

TOKENS_A_SECOND = 3.5

_WANTED = TOKENS_A_SECOND * SECONDS
# Standard deviations of what the joiner adds up: the frame outweighs the context.
_OF_FRAMES, _OF_CONTEXTS = 1.0, 0.7


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
        return collapsed(model.ctc_output(frames), lengths, BLANK)

    calibrate(model.ctc_output, BLANK, decode, _WANTED, source)
    return model


def _spread_contexts(decoder: stateless.Decoder, source: torch.Generator) -> None:
    size = (1000, decoder.conv.kernel_size[0])
    contexts = torch.randint(0, decoder.embedding.num_embeddings, size, generator=source)
    spread(
        decoder.decoder_proj, received(decoder.decoder_proj, lambda: decoder(contexts)), _OF_CONTEXTS, source
    )
