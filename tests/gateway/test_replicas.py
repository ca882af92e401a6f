"""Which replica is called."""

import asyncio
from collections import Counter

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import ChannelConnectivity

from gateway.replicas import Replica, Replicas

DOWN = status_pb2.Status(code=code_pb2.UNAVAILABLE)


def full(seconds: int) -> status_pb2.Status:
    detail = Any()
    detail.Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=seconds)))
    return status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, details=[detail])


class FakeChannel:
    def __init__(self) -> None:
        self.state = ChannelConnectivity.READY
        self.closed = asyncio.Event()

    def get_state(self, try_to_connect: bool = False) -> ChannelConnectivity:
        return self.state

    async def close(self) -> None:
        self.closed.set()


class Company:
    """Replicas by the names that they are given."""

    def __init__(self, *names: str) -> None:
        self.channels: dict[str, FakeChannel] = {}
        self.replicas = Replicas(self._connect)
        self.replicas.update(names)

    def _connect(self, name: str) -> Replica[str]:
        self.channels[name] = FakeChannel()
        return Replica(self.channels[name], name, name)

    def pick(self, *failed: Replica[str]) -> Replica[str]:
        return self.replicas.pick(Counter(failed))

    def named(self, name: str) -> Replica[str]:
        """Picks until it is this one's turn."""
        return next(replica for replica in iter(self.pick, None) if replica.stub == name)

    def picked(self, *failed: Replica[str]) -> set[str]:
        """Whoever may be picked now."""
        return {self.pick(*failed).stub for _ in range(100)}


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_one_with_the_fewest_calls_in_flight_is_called():
    company = Company("a", "b", "c")
    assert company.picked() == {"a", "b", "c"}
    a, b = company.named("a"), company.named("b")
    with a.call(), b.call():
        assert company.picked() == {"c"}
        with company.pick().call():
            assert company.picked() == {"a", "b", "c"}
        with a.call(), company.pick().call():
            assert company.picked() == {"b", "c"}
    assert company.picked() == {"a", "b", "c"}


async def test_a_call_that_is_made_again_goes_to_another_as_long_as_there_is_one():
    company = Company("a", "b", "c")
    a, b, c = (company.named(name) for name in "abc")
    with b.call(), b.call():
        assert company.picked(a) == {"c"}
        assert company.picked(a, c) == {"b"}
        assert company.picked(a, b, c, c) == {"a"}


@pytest.mark.parametrize("state", [ChannelConnectivity.TRANSIENT_FAILURE, ChannelConnectivity.CONNECTING])
async def test_who_is_not_healthy_is_called_only_where_nobody_is(state):
    company = Company("a", "b")
    b = company.named("b")
    company.channels["a"].state = state
    with b.call():
        assert company.picked() == company.picked(b, b) == {"b"}
    company.channels["b"].state = state
    assert company.picked(b) == {"a"}


async def test_who_is_full_is_passed_over_for_as_long_as_it_asked():
    company = Company("a", "b")
    a, b = company.named("a"), company.named("b")
    a.failed(full(7), now())
    with b.call():
        assert company.picked() == {"b"}
    assert company.replicas.full_for() == 0.0
    b.failed(full(3), now())
    assert company.replicas.full_for() == pytest.approx(3.0, abs=0.5)
    assert company.picked() == {"a", "b"}
    assert (a.rests(now() + 6.9), a.rests(now() + 7.1)) == (True, False)


async def test_nobody_is_passed_over_for_ever():
    company = Company("a")
    a = company.named("a")
    a.failed(full(100_000), now=0.0)
    assert (a.rests(59.9), a.rests(60.0)) == (True, False)


async def test_a_wait_is_that_of_replicas_that_can_be_called():
    company = Company("a", "b")
    company.named("a").failed(full(7), now())
    company.channels["b"].state = ChannelConnectivity.TRANSIENT_FAILURE
    assert company.replicas.full_for() == pytest.approx(7.0, abs=0.5)
    company.channels["a"].state = ChannelConnectivity.TRANSIENT_FAILURE
    assert company.replicas.full_for() == 0.0


async def test_who_fails_time_and_again_is_passed_over_for_longer_and_longer():
    company = Company("a", "b")
    a, b = company.named("a"), company.named("b")
    rests = []
    for _ in range(9):
        a.failed(DOWN, now=0.0)
        rests.append(next(seconds for seconds in (1, 2, 4, 8, 16, 32, 60) if not a.rests(seconds)))
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    for _ in range(5000):
        a.failed(DOWN, now=0.0)
    assert not a.rests(60)
    a.failed(DOWN, now())
    with b.call():
        assert company.picked() == {"b"}
    # Nobody has to wait for it, though: if it is the only one it is called.
    assert company.replicas.full_for() == 0.0
    a.succeeded()
    a.failed(DOWN, now=0.0)
    assert not a.rests(1.0)


async def test_new_replicas_are_called_and_calls_to_others_end_in_peace():
    company = Company("a")
    a = company.named("a")
    with a.call():
        company.replicas.update(["b"])
        assert company.picked() == {"b"}
        await asyncio.sleep(0)
        assert not company.channels["a"].closed.is_set()
    await asyncio.wait_for(company.channels["a"].closed.wait(), 5)
    assert not company.channels["b"].closed.is_set()


async def test_in_the_end_all_are_closed():
    company = Company("a", "b")
    with company.named("a").call():
        company.replicas.update(["b"])
        await asyncio.sleep(0)
        await company.replicas.close()
    assert all(channel.closed.is_set() for channel in company.channels.values())


async def test_who_stays_keeps_its_connection():
    company = Company("a", "b")
    before = company.channels["b"]
    company.replicas.update(["b", "c"])
    assert company.channels["b"] is before
    await company.replicas.close()
    assert before.closed.is_set()


async def test_where_nobody_is_known_nobody_is_called():
    assert Company().pick() is None
