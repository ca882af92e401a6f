"""Prometheus' way in: real HTTP beside a real server."""

import asyncio
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from prometheus_client import CollectorRegistry, Counter, Histogram

from serving.metrics import exemplar, metrics_endpoint, process_registry
from serving.server import running
from support.fake_service import FakeService, limits
from support.processes import free_address

OPENMETRICS = {"Accept": "application/openmetrics-text"}


def fetched(address, headers):
    request = urllib.request.Request(f"http://{address}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read().decode()


async def scraped(address, **headers):
    return await asyncio.to_thread(fetched, address, headers)


async def test_a_server_tells_its_metrics_from_before_the_models_load_until_it_has_stopped():
    gate = asyncio.Event()
    service = FakeService(limits(metrics_address="127.0.0.1:0"), start=gate.wait)
    async with running(service, service.config) as server:
        assert not server.serving.is_set()
        assert "process_resident_memory_bytes" in await scraped(server.addresses.metrics_address)
        gate.set()
        await server.wait_serving()
        address = server.addresses.metrics_address
    with pytest.raises(OSError, match="refused"):
        await scraped(address)


async def test_no_metrics_are_told_unless_asked_for():
    service = FakeService(limits())
    async with running(service, service.config) as server:
        assert server.addresses.metrics_address is None


async def test_what_is_counted_shows_at_the_next_scrape():
    registry = CollectorRegistry()
    counter = Counter("duoscribe_things", "Things.", registry=registry)
    async with metrics_endpoint("127.0.0.1:0", registry) as address:
        counter.inc(3)
        assert "duoscribe_things_total 3.0" in await scraped(address)


async def test_nothing_is_told_of_when_series_began():
    registry = process_registry()
    Histogram("duoscribe_seconds", "Seconds.", registry=registry).observe(1)
    async with metrics_endpoint("127.0.0.1:0", registry) as address:
        for headers in ({}, OPENMETRICS):
            told = await scraped(address, **headers)
            assert "duoscribe_seconds_count" in told
            assert "_created" not in told


async def test_a_scrape_is_answered_while_the_event_loop_is_held_up():
    async with metrics_endpoint("127.0.0.1:0", process_registry()) as address:
        with ThreadPoolExecutor(1) as elsewhere:
            # Waits in the loop's own thread, which runs nothing else meanwhile.
            assert "process_open_fds" in elsewhere.submit(fetched, address, {}).result(5)


async def test_who_asks_for_openmetrics_is_led_to_a_trace_that_is_recorded():
    registry = CollectorRegistry()
    seconds = Histogram("duoscribe_seconds", "Seconds.", registry=registry)
    with use_span(NonRecordingSpan(SpanContext(0xABC, 1, is_remote=True, trace_flags=TraceFlags(1)))):
        seconds.observe(0.1, exemplar())
    with use_span(NonRecordingSpan(SpanContext(0xDEF, 1, is_remote=True))):
        seconds.observe(3, exemplar())
    async with metrics_endpoint("127.0.0.1:0", registry) as address:
        told = await scraped(address, **OPENMETRICS)
        assert 'le="0.1"} 1.0 # {trace_id="00000000000000000000000000000abc"} 0.1' in told
        assert "def" not in told
        assert "trace_id" not in await scraped(address)


async def test_the_named_port_is_used_and_free_again_afterwards():
    address = free_address()
    for _ in range(2):
        async with metrics_endpoint(address, process_registry()) as bound:
            assert bound == address


@pytest.mark.parametrize("address", ["9100", "localhost", "127.0.0.1:99999", "127.0.0.1:http", ":9100"])
async def test_what_is_no_address_is_refused(address):
    with pytest.raises(OSError, match="HOST:PORT"):
        async with metrics_endpoint(address, CollectorRegistry()):
            pytest.fail("it listens")


async def test_an_address_in_use_is_named():
    async with metrics_endpoint("127.0.0.1:0", CollectorRegistry()) as address:
        service = FakeService(limits(metrics_address=address))
        with pytest.raises(OSError, match=f"cannot serve metrics at {address}: Address already in use"):
            async with running(service, service.config):
                pytest.fail("it listens")
