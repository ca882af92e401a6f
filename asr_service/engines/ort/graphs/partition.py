"""Finds out which nodes of a transducer depend on the encoder's frame, which on the labels so far, which on both."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Flag, auto

import onnx

from asr_service.engines.ort.graphs.inlining import used

Nodes = tuple[onnx.NodeProto, ...]


class Source(Flag):
    NONE = 0
    FRAME = auto()
    LABELS = auto()


@dataclass(frozen=True)
class Parts:
    """A transducer's nodes, each list in an order in which they can run, and the values where the lists meet."""

    constant: Nodes
    frame: Nodes
    """Projects a frame; what follows the frame only need not be computed again for every label."""
    labels: Nodes
    """The prediction network; what follows the labels only need not be computed again for every frame."""
    joint: Nodes
    frame_values: tuple[str, ...]
    """What the joint takes of the frame."""
    label_values: tuple[str, ...]
    """What the joint takes of the labels."""

    @property
    def nodes(self) -> Nodes:
        return (*self.constant, *self.frame, *self.labels, *self.joint)


def split(nodes: Sequence[onnx.NodeProto], frame: str, labels: Iterable[str]) -> Parts:
    """`frame` and `labels` name the inputs; the nodes are in an order in which they can run."""
    sources = {frame: Source.FRAME} | dict.fromkeys(labels, Source.LABELS)
    lists: dict[Source, list[onnx.NodeProto]] = {}
    for node in nodes:
        source = Source.NONE
        for value in used(node):
            source |= sources.get(value, Source.NONE)
        sources.update(dict.fromkeys(node.output, source))
        lists.setdefault(source, []).append(node)
    joint = tuple(lists.get(Source.FRAME | Source.LABELS, ()))
    taken = dict.fromkeys(value for node in joint for value in used(node))
    return Parts(
        constant=tuple(lists.get(Source.NONE, ())),
        frame=tuple(lists.get(Source.FRAME, ())),
        labels=tuple(lists.get(Source.LABELS, ())),
        joint=joint,
        frame_values=tuple(value for value in taken if sources.get(value) == Source.FRAME),
        label_values=tuple(value for value in taken if sources.get(value) == Source.LABELS),
    )


def in_place(
    parts: Parts, node: onnx.NodeProto, instead: Sequence[onnx.NodeProto], results: Iterable[str]
) -> Nodes:
    """The prediction network's nodes with others that make the same value in place of one; what only that one took goes.

    `results` are values that the network hands out, apart from what the joint takes.
    """
    where = parts.labels.index(node)
    after = parts.labels[where + 1 :]
    wanted = {*parts.label_values, *results, *(value for each in (*instead, *after) for value in used(each))}
    return (*needed(parts.labels[:where], wanted - set(node.output)), *instead, *after)


def needed(nodes: Sequence[onnx.NodeProto], results: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that `results` follow from."""
    wanted, kept = set(results), list[onnx.NodeProto]()
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(used(node))
            kept.append(node)
    return kept[::-1]
