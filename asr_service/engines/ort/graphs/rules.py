"""The rules of greedy search: which tokens are labels, and where the search goes on after each."""

from dataclasses import dataclass

from asr_service.engines.ort.graphs.builder import INT64, Graph

PLACE, COUNT = "place", "count"


@dataclass(frozen=True)
class Rules:
    """What a transducer's graphs do not say about decoding it."""

    tokens: int
    """Size of the vocabulary, blank included."""
    blank: int
    most: int
    """Labels that one frame may have; after so many the search goes on to the next."""
    unknown: int | None = None
    """A token that counts as blank."""
    durations: int = 0
    """How many durations a TDT's joint tells apart (0 frames, 1 frame, …); an RNN-T's none."""


@dataclass(frozen=True)
class Choice:
    """What a step chose for each row; all shapes are (rows,)."""

    emitted: str
    """Whether there is a label, bool; never in rows that ended."""
    token: str
    log_prob: str
    place: str
    """The frame that the label was found at."""
    blanks: str | None = None
    """How many frames of the window lie before it; None where the window is one frame."""
    duration: str | None = None
    """Of a TDT."""


def advance(
    graph: Graph, rules: Rules, window: int, choice: Choice, place: str, count: str | None
) -> dict[str, str]:
    """The next frame to look at, PLACE, and how many labels that has so far, COUNT; both (rows,) int64.

    After sherpa-onnx 2.0.1: an RNN-T stays at a label's frame until that has `most` labels. A TDT goes on by the duration
    that it predicts, for blank as for labels, and by 1 where that is 0 and the token is blank or the frame's last.
    `count` is None, and not given back, where a frame has one label at most.
    """
    if count is None:
        return {PLACE: _leave(graph, window, choice, place)}
    zero = graph.ints(0)
    if choice.blanks is not None:
        count = graph.op("Where", graph.op("Less", zero, choice.blanks), zero, count)
    count = graph.op("Add", count, graph.ints(1))
    full = graph.op("Less", graph.ints(rules.most - 1), count)
    done = graph.op("Or", graph.op("Not", choice.emitted), full)
    if choice.blanks is not None:
        after = _stay(graph, window, choice, place, full)
    elif choice.duration is None:
        after = graph.op("Add", place, graph.cast(done, INT64))
    else:
        skip = graph.op("Max", choice.duration, graph.cast(done, INT64))
        after, done = graph.op("Add", place, skip), graph.op("Less", zero, skip)
    return {PLACE: after, COUNT: graph.op("Where", done, zero, count)}


def _leave(graph: Graph, window: int, choice: Choice, place: str) -> str:
    """To the frame behind the label, or behind the window."""
    behind = graph.op("Add", place, graph.ints(window))
    if choice.blanks is None:
        return behind
    return graph.op("Where", choice.emitted, graph.op("Add", choice.place, graph.ints(1)), behind)


def _stay(graph: Graph, window: int, choice: Choice, place: str, full: str) -> str:
    """At the label's frame until that is full, or to the frame behind the window."""
    label = graph.op("Add", choice.place, graph.cast(full, INT64))
    return graph.op("Where", choice.emitted, label, graph.op("Add", place, graph.ints(window)))
