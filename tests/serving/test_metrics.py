"""Prometheus' way in: real HTTP beside a real server."""

import asyncio
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from serving.metrics import metrics_endpoint, process_registry
from serving.server import running
from support.fake_service import FakeService, limits
from support.processes import free_address


async def scraped(address, path="/metrics"):
    def fetch():
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.read().decode()

    return await asyncio.to_thread(fetch)


async def test_a_server_tells_its_metrics_from_before_the_models_load_until_it_has_stopped():
    gate = asyncio.Event()
    service = FakeService(limits(metrics_address="127.0.0.1:0"), start=gate.wait)
    async with running(service, service.config) as server:
        assert not server.serving.is_set()
        assert "process_resident_memory_bytes" in await scraped(server.metrics_address)
        gate.set()
        await server.wait_serving()
        address = server.metrics_address
    with pytest.raises(OSError, match="refused"):
        await scraped(address)


async def test_no_metrics_are_told_unless_asked_for():
    service = FakeService(limits())
    async with running(service, service.config) as server:
        assert server.metrics_address is None


async def test_what_is_counted_shows_at_the_next_scrape():
    registry = CollectorRegistry()
    counter = Counter("duoscribe_things", "Things.", registry=registry)
    async with metrics_endpoint("127.0.0.1:0", registry) as address:
        counter.inc(3)
        assert "duoscribe_things_total 3.0" in await scraped(address)


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
