"""The Conformer encoder of icefall's pruned transducers, whose TensorRT engine k2 published figures of."""

from typing import TYPE_CHECKING

from workbench.icefall import encoder_recipe
from workbench.recipe import Recipe, Size

if TYPE_CHECKING:
    from workbench.networks.stateless import Transducer


def recipe(size: Size) -> Recipe:
    parameters = "77 M" if size == "full" else "0.2 M"
    summary = f"icefall's Conformer transducer encoder, {parameters} parameters, random weights"
    return encoder_recipe("conformer", summary, size, lambda: _transducer(size))


def _transducer(size: Size) -> "Transducer":
    from workbench.networks import conformer, icefall_models, stateless  # noqa: PLC0415 - with PyTorch

    encoder, decoder = {
        "full": (conformer.LIBRISPEECH, stateless.LIBRISPEECH),
        "tiny": (conformer.TINY, stateless.TINY),
    }[size]
    return icefall_models.transducer(lambda: conformer.Conformer(encoder), decoder)
