"""The searches of random transducers, by which their encoders are judged."""

from collections.abc import Sequence

import torch

from asr_service.engines.ort.gate import Tokens
from workbench.ctc_search import spelled
from workbench.networks import greedy, icefall_export, nemo_export, nemo_models, stateless, stateless_greedy
from workbench.networks.threads import one_thread, repeatable
from workbench.recipe import Arrays, Size


class IcefallSearch:
    """Greedy, of at most one token a frame."""

    def __init__(self, model: stateless.Transducer) -> None:
        self._decoder, self._joiner = model.decoder, model.joiner
        self._symbols = icefall_export.symbols(model.dims.vocabulary)

    @one_thread()
    def tokens(self, outputs: Arrays) -> Tokens:
        frames, lengths = torch.tensor(outputs["encoder_out"]), torch.tensor(outputs["encoder_out_lens"])
        return [row.tokens for row in stateless_greedy.search(self._decoder, self._joiner, frames, lengths)]

    def text(self, tokens: Sequence[int]) -> str:
        return spelled(self._symbols, tokens)


class NemoSearch:
    """Greedy, of RNN-T or TDT."""

    def __init__(self, model: nemo_models.Transducer, size: Size) -> None:
        # Not the encoder, which is large.
        self._size = size
        self._prediction, self._joint = model.prediction, model.joint
        self._symbols = nemo_export.symbols(model.dims.tokens)

    def tokens(self, outputs: Arrays) -> Tokens:
        encoded, lengths = torch.tensor(outputs["outputs"]), torch.tensor(outputs["encoded_lengths"])
        with repeatable(self._size):
            return [row.tokens for row in greedy.search(self._prediction, self._joint, encoded, lengths)]

    def text(self, tokens: Sequence[int]) -> str:
        return spelled(self._symbols, tokens)
