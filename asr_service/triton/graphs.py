"""Writes the three parts of an ensemble that are ONNX graphs."""

from collections.abc import Callable
from pathlib import Path

import onnx

from asr_service.engines.ort.whisper.opening import save_graph
from asr_service.triton import preprocessing
from asr_service.triton.assembling import Assembly
from asr_service.triton.encoding import write_encoder

_PARTS = ("preprocessing", "encoder", "decoding")


def write_graphs(assembly: Assembly, place: Callable[[str], Path]) -> dict[str, Path]:
    """Each to the file that `place` gives for its name; their folders are made. Raises ModelUnavailable."""
    model, options = assembly.model, assembly.options
    paths = {part: place(part) for part in _PARTS}
    for path in paths.values():
        path.parent.mkdir(parents=True)
    features = preprocessing.compose(
        model.front_end,
        assembly.ceilings,
        channels_first=model.channels_first,
        # Products in single precision would be rounded to TF32.
        doubles=options.on_gpu,
    )
    onnx.save(features, paths["preprocessing"])
    may_round = options.on_gpu and options.precision != "fp32"
    write_encoder(model, paths["encoder"], may_round=may_round)
    save_graph(model.search("cuda" if options.on_gpu else "cpu"), paths["decoding"])
    return paths
