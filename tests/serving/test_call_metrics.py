"""gRPC's own metrics of every kind of handler, as the caller saw the call end."""

import asyncio
import contextlib

import grpc
import pytest
from google.rpc import code_pb2
from prometheus_client import CollectorRegistry

from serving import errors
from serving.admission import AdmissionInterceptor
from serving.call_metrics import CallMetrics, code_of
from serving.server import running
from speech.asr.v1.asr_pb2 import DescribeRecognitionRequest
from speech.asr.v1.asr_pb2_grpc import SpeechRecognitionStub
from support.fake_service import FakeService, limits, status_of
from support.handlers import STYLES, call, quiet, raising, served
from support.waiting import until

TYPES = {
    "UnaryUnary": "unary",
    "UnaryUpload": "unary",
    "StreamUnary": "client_stream",
    "UnaryStream": "server_stream",
    "StreamStream": "bidi_stream",
    "UnaryGenerator": "server_stream",
    "StreamGenerator": "bidi_stream",
}


class Counted:
    """A server whose calls are counted."""

    def __init__(self):
        self.registry = CollectorRegistry()

    def served(self, work, *inner):
        return served(work, CallMetrics(self.registry), *inner)

    def of(self, metric, style, **labels):
        method = {"grpc_type": TYPES[style], "grpc_service": "test.Kinds", "grpc_method": style}
        return self.registry.get_sample_value(f"grpc_server_{metric}", method | labels) or 0

    async def ended(self, style, code):
        """Waits until a call has ended with this code, as the server sees it."""
        await until(lambda: self.of("handled_total", style, grpc_code=code) == 1)


@pytest.fixture
def counted():
    return Counted()


@pytest.mark.parametrize("style", STYLES)
async def test_a_call_is_counted_by_its_type_service_and_method(style, counted):
    async with counted.served(quiet) as channel:
        await call(channel, style)
        await counted.ended(style, "OK")
    assert counted.of("started_total", style) == 1
    assert counted.of("handling_seconds_count", style) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidAudio("no sound"), "INVALID_ARGUMENT"),
        (ExceptionGroup("", [errors.RecordingTooLong("over 4 h")]), "OUT_OF_RANGE"),
        (KeyError("a bug"), "INTERNAL"),
    ],
)
async def test_a_failure_counts_under_the_code_that_its_caller_gets(error, code, counted):
    async with counted.served(raising(error)) as channel:
        assert (await status_of(call(channel, "StreamStream"))).code == grpc.StatusCode[code].value[0]
        await counted.ended("StreamStream", code)


async def test_a_status_that_the_handler_sent_itself_counts(counted):
    async def work(context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

    async with counted.served(work) as channel:
        await status_of(call(channel, "UnaryUnary"))
        await counted.ended("UnaryUnary", "NOT_FOUND")


async def test_a_refusal_counts_though_no_handler_ran(counted):
    async with counted.served(quiet, AdmissionInterceptor(max_streams=1)) as channel:
        await status_of(call(channel, "UnaryUnary"))
        await counted.ended("UnaryUnary", "UNAVAILABLE")


async def test_calls_whose_caller_left_and_whose_deadline_passed_are_told_apart(counted):
    entered = asyncio.Event()

    async def work(context):
        entered.set()
        await asyncio.sleep(60)

    async with counted.served(work) as channel:
        calling = asyncio.create_task(call(channel, "StreamStream"))
        await entered.wait()
        calling.cancel()
        await counted.ended("StreamStream", "CANCELLED")
        with contextlib.suppress(grpc.aio.AioRpcError):
            await call(channel, "StreamStream", timeout=0.2)
        await counted.ended("StreamStream", "DEADLINE_EXCEEDED")


async def test_a_method_that_does_not_exist_makes_no_series(counted):
    async with counted.served(quiet) as channel:
        await status_of(channel.unary_unary("/test.Kinds/Nonsense")(b""))
    assert not [sample for metric in counted.registry.collect() for sample in metric.samples]


async def test_every_service_counts_its_calls(counted):
    service = FakeService(limits())
    async with running(service, service.config, counted.registry) as server:
        await server.wait_serving()
        async with grpc.aio.insecure_channel(server.address) as channel:
            await SpeechRecognitionStub(channel).DescribeRecognition(DescribeRecognitionRequest())
    labels = {
        "grpc_type": "unary",
        "grpc_service": "speech.asr.v1.SpeechRecognition",
        "grpc_method": "DescribeRecognition",
    }
    assert counted.registry.get_sample_value("grpc_server_started_total", labels) == 1


class Remaining:
    """The context of a call that has so many seconds left."""

    def __init__(self, seconds):
        self.seconds = seconds

    def time_remaining(self):
        return self.seconds


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (None, "CANCELLED"),
        (10.0, "CANCELLED"),
        (0.01, "DEADLINE_EXCEEDED"),
        (0.0, "DEADLINE_EXCEEDED"),
    ],
)
def test_a_call_that_is_cancelled_at_its_deadline_is_late(seconds, code):
    assert code_pb2.Code.Name(code_of(asyncio.CancelledError(), Remaining(seconds))) == code
