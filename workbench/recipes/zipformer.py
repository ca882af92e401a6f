"""The Zipformer encoder of icefall's transducers, "Zipformer-M"."""

from typing import TYPE_CHECKING

from workbench.icefall import encoder_recipe
from workbench.recipe import Recipe, Size

if TYPE_CHECKING:
    from workbench.networks.stateless import Transducer


def recipe(size: Size) -> Recipe:
    parameters = "64 M" if size == "full" else "0.2 M"
    summary = f"icefall's Zipformer transducer encoder, {parameters} parameters, random weights"
    return encoder_recipe("zipformer", summary, size, lambda: _transducer(size))


def _transducer(size: Size) -> "Transducer":
    from workbench.networks import icefall_models, stateless, zipformer  # noqa: PLC0415 - with PyTorch

    encoder, decoder = {
        "full": (zipformer.MEDIUM, stateless.LIBRISPEECH),
        "tiny": (zipformer.TINY, stateless.TINY),
    }[size]
    return icefall_models.transducer(lambda: zipformer.Zipformer(encoder), decoder)
