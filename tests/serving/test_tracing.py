"""Spans of calls, from a real server to a real receiver of OTLP."""

import asyncio
import contextlib
import socket
import sys
import time

import pytest
from opentelemetry.trace import NonRecordingSpan, get_current_span

from serving import errors, logs, tracing
from serving.config import ServerConfig
from serving.tracing.calls import calling, propagated
from support.certificates import Authority
from support.fake_service import FakeService, audio, config, end, limits, opened, status_of
from support.traces import collecting

RECOGNIZE = "speech.asr.v1.SpeechRecognition/Recognize"
DESCRIBE = "speech.asr.v1.SpeechRecognition/DescribeRecognition"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = ("traceparent", f"00-{TRACE}-{PARENT}-01")
UPLOAD = (config("call-7"), audio(b"RIFF" * 100), end())


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch):
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)


def raising(error):
    async def read(upload):
        raise error

    return read


@contextlib.asynccontextmanager
async def traced(**service):
    """A service whose spans have all arrived once the context has ended."""
    with collecting() as collector:
        async with opened(FakeService(limits(traces_endpoint=collector.endpoint), **service)) as door:
            yield collector, door


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


async def test_a_cancelled_call_is_told_from_a_late_one():
    entered = asyncio.Event()

    async def hang(upload):
        entered.set()
        await asyncio.Event().wait()

    async with traced(read=hang) as (collector, door):
        calling = asyncio.create_task(door.recognize(*UPLOAD))
        await entered.wait()
        calling.cancel()
        await asyncio.wait((calling,))
        await status_of(door.recognize(*UPLOAD, timeout=1.0))

    codes = [span.attributes["rpc.response.status_code"] for span in collector.named(RECOGNIZE)]
    assert codes == ["CANCELLED", "DEADLINE_EXCEEDED"]


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


async def test_the_environment_names_the_service_and_decides_what_is_sampled(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ears")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=asr-0")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        async with opened(FakeService(limits())) as door:
            await door.describe()
            await door.recognize(*UPLOAD, metadata=(TRACEPARENT,))

    assert {span.trace for span in collector.spans} == {TRACE}
    resource = collector.spans[0].resource
    assert (resource["service.name"], resource["k8s.pod.name"]) == ("ears", "asr-0")
    assert resource["host.name"] == socket.gethostname()


@pytest.mark.parametrize(
    ("name", "value", "warns"),
    [
        ("OTEL_SDK_DISABLED", "true", False),
        ("OTEL_TRACES_EXPORTER", "none", False),
        ("OTEL_TRACES_EXPORTER", "zipkin", True),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", True),
    ],
)
async def test_nothing_is_sent_where_the_environment_forbids_it(monkeypatch, log_lines, name, value, warns):
    monkeypatch.setenv(name, value)
    async with traced() as (collector, door):
        await door.describe()

    assert collector.spans == []
    assert any(line["level"] == "warning" for line in log_lines()) == warns


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


async def test_a_service_that_sends_no_traces_loads_nothing_for_it():
    code = "import sys, serving.server; print('opentelemetry.sdk' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert said.strip() == b"False"


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


@pytest.fixture(params=["refuses", "hangs"])
def dead_collector(request):
    """An address where nothing listens, or something that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "hangs":
            listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_dead_collector_fails_no_call_and_holds_up_the_end_for_seconds_only(
    dead_collector, log_lines, monkeypatch
):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    async with opened(FakeService(limits(traces_endpoint=dead_collector))) as door:
        async with asyncio.timeout(20):
            while not complaints(log_lines()):
                assert await door.recognize(*UPLOAD) == ("call-7", 400)
            for _ in range(20):
                assert await door.recognize(*UPLOAD) == ("call-7", 400)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 10

    (complaint,) = complaints(log_lines())
    assert complaint["reason"]


async def test_a_collector_that_comes_back_is_noticed(log_lines, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with collecting() as collector:
        collector.refusing = True
        async with opened(FakeService(limits(traces_endpoint=collector.endpoint))) as door:
            await door.describe()
            await collector.until(lambda: complaints(log_lines()))
            collector.refusing = False
            await door.describe()
            await collector.until(lambda: collector.spans)

    events = [line["event"] for line in log_lines()]
    assert events.count("traces arrive again") == 1
    assert len(complaints(log_lines())) == 1


async def test_a_collector_may_ask_for_mutual_tls(tmp_path, monkeypatch):
    authority = Authority()
    authority.identity("asr").write(tmp_path)
    for name, file in (
        ("CERTIFICATE", "ca.crt"),
        ("CLIENT_CERTIFICATE", "tls.crt"),
        ("CLIENT_KEY", "tls.key"),
    ):
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", str(tmp_path / file))
    with collecting(authority.identity("collector")) as collector:
        async with opened(FakeService(limits(traces_endpoint=collector.endpoint))) as door:
            await door.describe()

    assert [span.name for span in collector.spans] == [DESCRIBE]


async def test_a_header_that_cannot_be_read_is_not_shown(log_lines, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "s3cr3t-without-a-name")
    async with traced() as (_, door):
        await door.describe()

    (line,) = complaints(log_lines())
    assert "(not shown)" in line["event"]
    assert "s3cr3t" not in str(log_lines())


def complaints(lines):
    return [line for line in lines if line["level"] in {"warning", "error"}]


def test_an_endpoint_is_a_url():
    with pytest.raises(ValueError, match="http://"):
        ServerConfig(traces_endpoint="collector:4317")


def test_outside_of_calls_there_is_no_trace():
    assert not get_current_span().get_span_context().is_valid
    with tracing.stage("listen") as span:
        assert not span.is_recording()
    assert propagated() == ()
