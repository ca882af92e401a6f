"""One step of a search: the joint at each row's next frames, and the first label that it finds there."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr_service.engines.ort.graphs.builder import FLOAT, Graph
from asr_service.engines.ort.graphs.inlining import instance
from asr_service.engines.ort.graphs.rules import Choice, Rules
from asr_service.engines.ort.graphs.transducer import Transducer


@dataclass(frozen=True)
class Around:
    """Values of the graph around the loop. Frames are counted through the whole batch."""

    frames: Mapping[str, str]
    """What the joint takes of frames, first axis the batch's frames; by the model's names."""
    ends: str
    """The frame behind each row's last, (rows,) int64."""
    last: str
    """The batch's last frame, () int64."""
    window: int
    """How many frames of a row a step looks at."""
    firsts: str
    """Where each row's begin among these, (rows,) int64."""


class Step:
    def __init__(self, graph: Graph, model: Transducer, rules: Rules, around: Around) -> None:
        self._graph, self._model = graph, model
        self._rules, self._around = rules, around

    def look(self, place: str, labels: Mapping[str, str]) -> Choice:
        """At one frame of each row: `place`, (rows,) int64."""
        graph = self._graph
        # Rows that ended may have gone past the last frame; what they find there does not count.
        near = graph.op("Min", place, self._around.last)
        tokens, duration = self._outputs(near, labels)
        _, best = graph.greatest(tokens, axis=1)
        token = self._column(best)
        active = graph.op("Less", place, self._around.ends)
        emitted = graph.op("And", self._is_label(token), active)
        silent = graph.op("Gather", graph.ints(self._silent()), token)
        return Choice(emitted, token, self._log_prob(tokens, best), near, silent=silent, duration=duration)

    def look_ahead(self, place: str, labels: Mapping[str, str]) -> Choice:
        """At a window of frames of each row from `place` on, all with the same labels before them."""
        graph, around = self._graph, self._around
        column, window = graph.ints([1]), around.window
        places = graph.op("Add", graph.op("Unsqueeze", place, column), graph.ints(range(window)))
        near = graph.op("Reshape", graph.op("Min", places, around.last), graph.ints([-1]))
        tokens, _ = self._outputs(
            near, {value: self._repeated(value, labels[value]) for value in self._model.parts.label_values}
        )
        _, best = graph.greatest(tokens, axis=1)
        is_label = graph.op("Reshape", self._is_label(best), graph.ints([-1, window]))
        inside = graph.op("Less", places, graph.op("Unsqueeze", around.ends, column))
        found = graph.op("And", is_label, inside)
        # The first label weighs most. Without any the weights are equal, and so is which of them is taken.
        weights = graph.op("Mul", graph.cast(found, FLOAT), graph.floats(range(window, 0, -1)))
        _, blanks = graph.greatest(weights, axis=1)
        blanks = self._column(blanks)
        taken = graph.op("Add", around.firsts, blanks)
        emitted = graph.op("Gather", graph.op("Reshape", found, graph.ints([-1])), taken)
        best = graph.op("Gather", best, taken)
        log_prob = self._log_prob(graph.op("Gather", tokens, taken), best)
        return Choice(emitted, self._column(best), log_prob, graph.op("Add", place, blanks), blanks=blanks)

    def _repeated(self, value: str, name: str) -> str:
        """Each row as often as there are frames in the window, one copy behind the other."""
        graph, shape = self._graph, self._model.shapes[value]
        axis = shape.index(-1) + 1
        copies = [1] * (len(shape) + 1)
        copies[axis] = self._around.window
        expanded = graph.op("Expand", graph.op("Unsqueeze", name, graph.ints([axis])), graph.ints(copies))
        return graph.op("Reshape", expanded, graph.ints(shape))

    def _outputs(self, frames: str, labels: Mapping[str, str]) -> tuple[str, str]:
        """Logits of tokens, (frames, tokens), and a TDT's best duration, (frames,) int64."""
        graph, rules = self._graph, self._rules
        taken = {value: graph.op("Gather", name, frames) for value, name in self._around.frames.items()}
        nodes, name = instance(self._model.parts.joint, "step:", taken | dict(labels))
        graph.adopt(nodes)
        outputs = name(self._model.logits)
        if not rules.durations:
            return outputs, ""
        # Split into parts of different size, the CUDA provider would send tables to the GPU first.
        tokens, durations = (
            graph.op("Slice", outputs, *map(graph.ints, ([start], [end], [1])))
            for start, end in ((0, rules.tokens), (rules.tokens, rules.tokens + rules.durations))
        )
        _, best = graph.greatest(durations, axis=1)
        return tokens, self._column(best)

    def _is_label(self, token: str) -> str:
        return self._graph.op("Gather", self._graph.bools(~self._silent()), token)

    def _silent(self) -> npt.NDArray[np.bool_]:
        """Which tokens say nothing."""
        silent = np.zeros(self._rules.tokens, np.bool_)
        silent[[token for token in (self._rules.blank, self._rules.unknown) if token is not None]] = True
        return silent

    def _log_prob(self, logits: str, tokens: str) -> str:
        """Of one token a row: `tokens` is (rows, 1)."""
        log_probs = self._graph.op("LogSoftmax", logits, axis=1)
        return self._column(self._graph.op("GatherElements", log_probs, tokens, axis=1))

    def _column(self, values: str) -> str:
        """(rows,) of (rows, 1)."""
        return self._graph.op("Squeeze", values, self._graph.ints([1]))
