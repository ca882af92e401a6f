"""What clients are told of a service's load, read as others would read it."""

import asyncio
import contextlib
import json
import tracemalloc
from collections import Counter

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.rpc import code_pb2

from serving.admission import Line
from serving.load import Load, Rates
from serving.load_reports import SERVICE_NAME
from speech.asr.v1 import asr_pb2_grpc
from support.fake_service import (
    FakeService,
    Gate,
    answers,
    config,
    end,
    limits,
    opened,
    read_all,
    status_of,
    stream_of,
)


def orca_report():
    """xds.data.orca.v3.OrcaLoadReport, as far as it is told."""
    field = descriptor_pb2.FieldDescriptorProto
    fields = [
        field(name=name, number=number, type=field.TYPE_DOUBLE, label=field.LABEL_OPTIONAL)
        for name, number in (("rps_fractional", 6), ("eps", 7), ("application_utilization", 9))
    ]
    file = descriptor_pb2.FileDescriptorProto(name="orca.proto", package="xds.data.orca.v3", syntax="proto3")
    file.message_type.add(name="OrcaLoadReport", field=fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("xds.data.orca.v3.OrcaLoadReport"))


Report = orca_report()


def test_a_report_is_read_as_the_public_message():
    report = Report.FromString(Load(0.25, 1.5, 0.125).encoded())
    assert (report.application_utilization, report.rps_fractional, report.eps) == (0.25, 1.5, 0.125)


def test_calls_that_ended_a_minute_ago_count_no_more():
    now = 0.0
    rates = Rates(lambda: now)
    with rates.counted():
        now += 3.0
    with pytest.raises(ZeroDivisionError), rates.counted():
        raise ZeroDivisionError
    assert (rates.ended, rates.failed) == (2 / 60, 1 / 60)
    now += 61.0
    assert (rates.ended, rates.failed) == (0.0, 0.0)


def test_calls_are_forgotten_also_where_nobody_asks_for_rates():
    now = 0.0
    rates = Rates(lambda: now)
    tracemalloc.start()
    try:
        for _ in range(5_000):
            with rates.counted():
                now += 1.0
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20_000


def test_how_long_calls_take_is_known_once_one_has_ended():
    now = 0.0
    rates = Rates(lambda: now)
    assert rates.seconds == 0.0
    with rates.counted():
        now += 10.0
    assert rates.seconds == pytest.approx(10.0)
    for _ in range(60):
        with rates.counted():
            now += 2.0
    assert rates.seconds == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("out_of_band", [False, True], ids=["with each answer", "in a stream of its own"])
async def test_clients_that_balance_by_load_send_more_to_who_has_more_room(out_of_band):
    """gRPC keeps the trailer to itself, so what it makes of it has to do."""
    called = Counter()

    def counting(name):
        async def read(upload):
            called[name] += 1
            return await read_all(upload)

        return FakeService(limits(), read=read)

    async with (
        opened(counting("full"), line=Line(lambda: 54.0, 60.0)) as full,
        opened(counting("free"), line=Line(lambda: 6.0, 60.0)) as free,
        balanced(full, free, out_of_band=out_of_band) as stub,
        asyncio.timeout(20),
    ):
        # Equal shares until the first weights are there, which are 1 to 9.
        while called["free"] < 3 * called["full"] + 20:
            await answers(stub.Recognize(stream_of([config(), end()])))


@contextlib.asynccontextmanager
async def balanced(*doors, out_of_band):
    settings = {
        "enableOobLoadReport": out_of_band,
        "oobReportingPeriod": "1s",
        "blackoutPeriod": "0s",
        "weightUpdatePeriod": "0.1s",
    }
    config = {"loadBalancingConfig": [{"weighted_round_robin": settings}]}
    target = "ipv4:" + ",".join(door.server.address for door in doors)
    options = [("grpc.service_config", json.dumps(config))]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        yield asr_pb2_grpc.SpeechRecognitionStub(channel)


async def test_who_asks_is_told_the_load_while_uploads_last():
    gate = Gate()
    service = FakeService(limits(max_streams=2), read=gate.read)
    async with opened(service, line=Line(lambda: 0.0, 60.0)) as door:
        inside = asyncio.create_task(door.recognize(config(), end()))
        await gate.entered.wait()
        reports = door.channel.unary_stream(f"/{SERVICE_NAME}/StreamCoreMetrics")(b"")
        assert Report.FromString(await reports.read()).application_utilization == 0.5
        gate.released.set()
        await inside
        async with asyncio.timeout(10):
            while Report.FromString(await reports.read()).application_utilization > 0.01:
                pass
        reports.cancel()


async def test_a_service_without_a_line_tells_callers_nothing_of_its_load():
    async with opened(FakeService(limits())) as door:
        asked = door.channel.unary_stream(f"/{SERVICE_NAME}/StreamCoreMetrics")(b"")
        assert (await status_of(asked.read())).code == code_pb2.UNIMPLEMENTED
