"""Graphs that are written by hand."""

from collections.abc import Iterator

import onnx

from asr_service.engines.ort.graphs.builder import BOOL, FLOAT, INT64, Graph


def looping() -> onnx.GraphProto:
    graph = Graph("search")
    start = graph.op("Neg", graph.input("start", FLOAT, ()))
    body = graph.inner("step")
    body.input("step", INT64, ())
    going = body.input("going", BOOL, ())
    value = body.input("value", FLOAT, ())
    body.give(body.op("Identity", going), BOOL)
    body.give(body.op("Neg", value), FLOAT)
    body.adopt([onnx.helper.make_node("Neg", [value], ["unused"])])
    graph.output("end", graph.op("Loop", graph.ints(3), graph.bools(True), start, body=body.proto()), FLOAT)
    return graph.proto()


def names(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield node.name
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from names(attribute.g)


def test_every_node_has_a_name_of_its_own() -> None:
    found = list(names(looping()))
    assert all(found)
    assert len(set(found)) == len(found) == 6
