"""The best token of each frame, chosen where the encoder's output lies."""

import onnx

from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph


def compose() -> onnx.ModelProto:
    """`logits` (batch, time, tokens), normalised or not, to `tokens` int64 and their `log_probs`, both (batch, time)."""
    graph = Graph("ctc")
    logits = graph.input("logits", FLOAT, ("batch", "time", "tokens"))
    _, best = graph.greatest(logits, axis=2)
    log_probs = graph.op("GatherElements", graph.op("LogSoftmax", logits, axis=2), best, axis=2)
    last = graph.ints([2])
    graph.op("Squeeze", best, last, named="tokens")
    graph.op("Squeeze", log_probs, last, named="log_probs")
    graph.give("tokens", INT64, ("batch", "time"))
    graph.give("log_probs", FLOAT, ("batch", "time"))
    return graph.model()
