"""Where spans go: to whom the environment says, and what happens where nobody takes them."""

import asyncio
import socket
import sys
import time

import pytest

from serving.config import ServerConfig
from support.certificates import Authority
from support.fake_service import FakeService, audio, config, end, limits, opened
from support.traces import collecting, traced

DESCRIBE = "speech.asr.v1.SpeechRecognition/DescribeRecognition"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01")
UPLOAD = (config("call-7"), audio(b"RIFF" * 100), end())

pytestmark = pytest.mark.usefixtures("no_telemetry_settings")


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


async def test_a_service_that_sends_no_traces_loads_nothing_for_it():
    code = "import sys, serving.server; print('opentelemetry.sdk' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert said.strip() == b"False"


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
