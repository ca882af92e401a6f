"""Tables in place of a stateless prediction network's convolution."""

from pathlib import Path

import numpy as np
import pytest

from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph
from asr_service.engines.ort.graphs.lean import lean
from asr_service.engines.ort.graphs.transducer import stateless
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.search import stateless_search
from support.reference_search import StatelessReference
from support.searches import RNNT, alike, encoded, rows

GROUPS = 2


def write(folder: Path, *, mixing: bool = False) -> tuple[Path, Path]:
    """icefall's decoder with its convolution in groups; `mixing` lets the labels of a context weigh each other."""
    decoder, joiner = folder / "decoder.onnx", folder / "joiner.onnx"
    RNNT.write_stateless(decoder, joiner)
    source = np.random.default_rng(5)
    graph = Graph("decoder")
    labels = graph.input("y", INT64, ("N", RNNT.context))
    known = graph.op("Clip", labels, graph.ints(0))
    table = graph.floats(source.normal(size=(RNNT.tokens, RNNT.encoder)))
    heard = graph.op("Unsqueeze", graph.op("GreaterOrEqual", labels, graph.ints(0)), graph.ints([2]))
    embedded = graph.op("Mul", graph.op("Gather", table, known), graph.cast(heard, FLOAT))
    if mixing:
        embedded = graph.op("Softmax", embedded, axis=1)
    weights = graph.floats(source.normal(size=(RNNT.encoder, RNNT.encoder // GROUPS, RNNT.context)))
    folded = graph.op("Conv", graph.op("Transpose", embedded, perm=[0, 2, 1]), weights, group=GROUPS)
    relu = graph.op("Relu", graph.op("Transpose", folded, perm=[0, 2, 1]))
    graph.output("decoder_out", graph.op("Squeeze", relu, graph.ints([1])), FLOAT, ("N", RNNT.encoder))
    graph.save(decoder)
    return decoder, joiner


def has_convolution(decoder: Path, joiner: Path) -> bool:
    return any(node.op_type == "Conv" for node in lean(stateless(decoder, joiner)).parts.labels)


def test_a_convolution_becomes_tables(tmp_path: Path) -> None:
    assert not has_convolution(*write(tmp_path))


def test_labels_that_weigh_each_other_are_convolved(tmp_path: Path) -> None:
    assert has_convolution(*write(tmp_path, mixing=True))


@pytest.mark.parametrize("mixing", [False, True])
def test_the_search_finds_the_same(mixing: bool, tmp_path: Path) -> None:
    decoder, joiner = write(tmp_path, mixing=mixing)
    frames = RNNT.frames(6, 40)
    found = rows(stateless_search(decoder, joiner).on(Placement(), frames="out")(encoded(frames, [40] * 6)))
    alike(found, map(StatelessReference(decoder, joiner, RNNT.context), frames))
