"""Spans of calls, from a real server to a real receiver of OTLP."""

import asyncio
import contextlib
import time

import pytest
from opentelemetry.trace import NonRecordingSpan, get_current_span

from serving import errors, logs, tracing
from serving.tracing.calls import calling, propagated
from support.fake_service import FakeService, audio, config, end, limits, opened, status_of
from support.traces import collecting, traced

RECOGNIZE = "speech.asr.v1.SpeechRecognition/Recognize"
DESCRIBE = "speech.asr.v1.SpeechRecognition/DescribeRecognition"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = ("traceparent", f"00-{TRACE}-{PARENT}-01")
UPLOAD = (config("call-7"), audio(b"RIFF" * 100), end())

pytestmark = pytest.mark.usefixtures("no_telemetry_settings")


def raising(error):
    async def read(upload):
        raise error

    return read


async def test_a_call_is_a_span_that_continues_its_callers_trace():
    async with traced() as (collector, door):
        await door.recognize(*UPLOAD, metadata=(TRACEPARENT,))

    (span,) = collector.named(RECOGNIZE)
    assert (span.trace, span.parent, span.service) == (TRACE, PARENT, "duoscribe-asr")
    assert span.span.kind == span.span.SPAN_KIND_SERVER
    assert span.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": RECOGNIZE,
        "rpc.response.status_code": "OK",
        "duoscribe.request_id": "call-7",
    }
    assert not span.is_error


async def test_a_call_without_a_trace_begins_one():
    async with traced() as (collector, door):
        await door.describe()

    (span,) = collector.spans
    assert (span.name, span.parent) == (DESCRIBE, "")


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (errors.InvalidAudio("no sound"), "INVALID_ARGUMENT", None),
        (errors.Overloaded("full", retry_after=1), "RESOURCE_EXHAUSTED", None),
        (errors.Unavailable("disk full"), "UNAVAILABLE", ("Unavailable", "disk full")),
        (KeyError("what was said in confidence"), "INTERNAL", ("KeyError", "internal error")),
        (ExceptionGroup("", [ValueError("in confidence")]), "INTERNAL", ("ValueError", "internal error")),
    ],
)
async def test_a_failure_is_an_error_where_it_is_the_services_own_and_tells_what_callers_may_read(
    error, code, told
):
    async with traced(read=raising(error)) as (collector, door):
        await status_of(door.recognize(*UPLOAD))

    (span,) = collector.named(RECOGNIZE)
    assert span.attributes["rpc.response.status_code"] == code
    assert span.is_error == (told is not None)
    assert (span.attributes.get("error.type", ""), span.span.status.message) == (told or ("", ""))
    assert not any(b"in confidence" in request for request in collector.requests)


async def test_what_is_refused_before_the_models_are_loaded_is_in_the_trace_as_well():
    with collecting() as collector:
        service = FakeService(limits(traces_endpoint=collector.endpoint), start=asyncio.Event().wait)
        async with opened(service, loaded=False) as door:
            await status_of(door.recognize(*UPLOAD))

    (span,) = collector.spans
    assert span.attributes["rpc.response.status_code"] == "UNAVAILABLE"


async def test_a_cancelled_call_is_no_error_of_the_services():
    entered = asyncio.Event()

    async def hang(upload):
        entered.set()
        await asyncio.Event().wait()

    async with traced(read=hang) as (collector, door):
        calling = asyncio.create_task(door.recognize(*UPLOAD))
        await entered.wait()
        calling.cancel()
        await asyncio.wait((calling,))

    (span,) = collector.named(RECOGNIZE)
    assert span.attributes["rpc.response.status_code"] == "CANCELLED"
    assert not span.is_error


async def test_health_checks_make_no_spans():
    async with traced() as (collector, door):
        await door.channel.unary_unary("/grpc.health.v1.Health/Check")(b"")
        await door.describe()

    assert [span.name for span in collector.spans] == [DESCRIBE]


async def test_stages_are_children_of_the_call_with_what_became_of_them():
    async def read(upload):
        with tracing.stage("listen", utterances=3):
            pass
        with contextlib.suppress(KeyError), tracing.stage("broken"):
            raise KeyError("what was said in confidence")
        now = time.monotonic()
        batch = tracing.over("compute", now - 2, now - 1, batches=1)
        tracing.over("batch", now - 2, now - 1.5, parent=batch)
        tracing.happened("first segment")
        return 0

    async with traced(read=read) as (collector, door):
        await door.recognize(*UPLOAD)

    (call,) = collector.named(RECOGNIZE)
    assert call.events == ["first segment"]
    compute, listen, broken = collector.children(call)
    assert listen.attributes == {"duoscribe.utterances": 3}
    assert (broken.is_error, broken.attributes["error.type"]) == (True, "KeyError")
    assert compute.span.end_time_unix_nano - compute.span.start_time_unix_nano == pytest.approx(1e9, rel=1e-3)
    assert abs(time.time() - 2 - compute.span.start_time_unix_nano / 1e9) < 30
    assert [span.name for span in collector.children(compute)] == ["batch"]


async def test_without_an_endpoint_nothing_is_recorded_and_the_callers_trace_is_passed_on():
    seen = {}

    async def read(upload):
        with calling("x.Y/Z", attempt=1) as call, tracing.stage("listen") as stage:
            seen.update(call=call, stage=stage, metadata=propagated())
        return 0

    async with opened(FakeService(limits(), read=read)) as door:
        await door.recognize(*UPLOAD, metadata=(TRACEPARENT,))

    assert seen["metadata"] == (TRACEPARENT,)
    assert isinstance(seen["call"], NonRecordingSpan)
    assert isinstance(seen["stage"], NonRecordingSpan)


@pytest.mark.parametrize("traceparent", ["", "00-zz-1-01", "x" * 4000])
async def test_what_is_no_traceparent_is_left_out(traceparent):
    seen = []

    async def read(upload):
        seen.extend(propagated())
        return 0

    async with opened(FakeService(limits(), read=read)) as door:
        await door.recognize(*UPLOAD, metadata=(("traceparent", traceparent),))

    assert seen == []


async def test_every_line_of_a_call_names_its_trace(log_lines):
    async def read(upload):
        logs.get_logger("kitchen").info("served")
        raise errors.InvalidAudio("no sound")

    async with traced(read=read) as (collector, door):
        await status_of(door.recognize(*UPLOAD, metadata=(TRACEPARENT,)))
        logs.get_logger("kitchen").info("closed")

    (span,) = collector.named(RECOGNIZE)
    by_event = {line["event"]: line for line in log_lines()}
    for event in ("served", "call failed"):
        assert (by_event[event]["trace_id"], by_event[event]["span_id"]) == (TRACE, span.id)
    assert "trace_id" not in by_event["closed"]


async def test_lines_name_the_callers_trace_where_none_is_sent(log_lines):
    async with opened(FakeService(limits(), read=raising(errors.InvalidAudio("no sound")))) as door:
        await status_of(door.recognize(*UPLOAD, metadata=(TRACEPARENT,)))

    (line,) = (line for line in log_lines() if line["event"] == "call failed")
    assert (line["trace_id"], line["span_id"]) == (TRACE, PARENT)


def test_outside_of_calls_there_is_no_trace():
    assert not get_current_span().get_span_context().is_valid
    with tracing.stage("listen") as span:
        assert not span.is_recording()
    assert propagated() == ()
