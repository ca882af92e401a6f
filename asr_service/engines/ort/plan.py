"""How a family of models is run: what every plan can say and do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from asr_service.engines.ort.engine import Recognizer
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.network import Decode, Network
from asr_service.engines.ort.site import Site


@dataclass(frozen=True)
class Opened:
    """A model whose sessions are loaded."""

    recognizer: Recognizer
    token_ids: Decode
    """What it finds in the encoder's outputs for utterances that are equally long, a row each."""
    rows_are_independent: bool
    """Whether an utterance may share a batch with others and hear nothing of them."""
    measures_time: bool = True
    languages: tuple[str, ...] = ()


class Plan(Protocol):
    """Nothing of the model is loaded yet."""

    @property
    def encoder(self) -> Path:
        """The ONNX file that turns features into frames."""

    def network(self) -> Network:
        """The encoder, as TensorRT engines are built from it."""

    def open(self, site: Site, lanes: Lanes) -> Opened:
        """Loads the rest, around sessions of the encoder. Raises ModelUnavailable."""
