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
    blanks: str = ""
    """Of a window, how many of its frames lie before the label."""
    silent: str = ""
    """Of a single frame, 1 where its token is no label, else 0; int64."""
    duration: str = ""
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
    if choice.blanks:
        return _stay(graph, rules, window, choice, place, count)
    count = graph.op("Add", count, graph.ints(1))
    reasons = [choice.silent, graph.op("Gather", graph.ints([0] * rules.most + [1]), count)]
    if choice.duration:
        reasons.append(choice.duration)
    skip = graph.op("Max", *reasons)
    zero = graph.ints(0)
    count = graph.op("Where", graph.op("Less", zero, skip), zero, count)
    return {PLACE: graph.op("Add", place, skip), COUNT: count}


def _leave(graph: Graph, window: int, choice: Choice, place: str) -> str:
    """To the frame behind the label, or behind the window."""
    behind = graph.op("Add", place, graph.ints(window))
    if not choice.blanks:
        return behind
    return graph.op("Where", choice.emitted, graph.op("Add", choice.place, graph.ints(1)), behind)


def _stay(graph: Graph, rules: Rules, window: int, choice: Choice, place: str, count: str) -> dict[str, str]:
    """At the label's frame until that is full, or to the frame behind the window."""
    zero = graph.ints(0)
    count = graph.op("Where", graph.op("Less", zero, choice.blanks), zero, count)
    count = graph.op("Add", count, graph.ints(1))
    full = graph.op("Less", graph.ints(rules.most - 1), count)
    label = graph.op("Add", choice.place, graph.cast(full, INT64))
    after = graph.op("Where", choice.emitted, label, graph.op("Add", place, graph.ints(window)))
    done = graph.op("Or", graph.op("Not", choice.emitted), full)
    return {PLACE: after, COUNT: graph.op("Where", done, zero, count)}
