"""What a trace shows of the engine, of recordings of any length."""

import time

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from asr_service.engines.base import Recognition
from asr_service.jobs import Decoded, Run
from asr_service.spans import EngineSpans
from serving.tracing.stages import current_tracer


@pytest.fixture
def recorded():
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    token = current_tracer.set(provider.get_tracer("tests"))
    yield lambda name: [span for span in exporter.get_finished_spans() if span.name == name]
    current_tracer.reset(token)


def decoded(arrived, run, seconds=0.5):
    return Decoded(Recognition(()), seconds, arrived, run)


def seconds(span):
    return (span.end_time - span.start_time) / 1e9


def test_waiting_and_computing_are_one_span_each_with_their_sums(recorded):
    now = time.monotonic()
    first, second = Run(now - 8, now - 5, 2), Run(now - 7, now - 6, 3)
    spans = EngineSpans()
    for arrived, run in ((now - 10, first), (now - 9, first), (now - 9, second)):
        spans.add(decoded(arrived, run))
    spans.record()

    (queue,), (compute,) = recorded("queue"), recorded("compute")
    assert queue.attributes["duoscribe.utterances"] == compute.attributes["duoscribe.utterances"] == 3
    assert queue.attributes["duoscribe.wait_seconds"] == pytest.approx(2 + 1 + 2)
    assert queue.attributes["duoscribe.longest_wait_seconds"] == pytest.approx(2)
    assert seconds(queue) == pytest.approx(3, abs=0.01)
    # The first batch ends last.
    assert seconds(compute) == pytest.approx(3, abs=0.01)
    assert compute.attributes["duoscribe.batches"] == 2
    assert compute.attributes["duoscribe.compute_seconds"] == 1.5
    assert [span.attributes["duoscribe.utterances"] for span in recorded("batch")] == [2, 3]
    assert {span.parent.span_id for span in recorded("batch")} == {compute.context.span_id}


def test_of_many_batches_all_count_and_the_first_are_shown(recorded):
    spans = EngineSpans()
    for index in range(500):
        spans.add(decoded(float(index), Run(index + 1.0, index + 2.0, 1)))
    spans.record()

    (compute,) = recorded("compute")
    assert compute.attributes["duoscribe.batches"] == 500
    assert len(recorded("batch")) == 16


def test_of_a_recording_that_nothing_was_computed_for_there_is_none(recorded):
    EngineSpans().record()
    assert recorded("queue") == recorded("compute") == []
