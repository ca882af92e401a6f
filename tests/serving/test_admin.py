"""channelz, at an address of its own."""

import grpc
import pytest
from google.rpc import code_pb2
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from serving.server import running
from support.fake_service import FakeService, limits, opened, status_of


def servers(channel):
    return channelz_pb2_grpc.ChannelzStub(channel).GetServers(channelz_pb2.GetServersRequest())


async def test_it_shows_the_servers_calls():
    async with opened(FakeService(limits(admin_address="127.0.0.1:0"))) as door:
        await door.describe()
        async with grpc.aio.insecure_channel(door.server.addresses.admin_address) as channel:
            told = await servers(channel)
    assert any(server.data.calls_succeeded for server in told.server)


async def test_callers_cannot_ask_for_it():
    async with opened(FakeService(limits(admin_address="127.0.0.1:0"))) as door:
        assert (await status_of(servers(door.channel))).code == code_pb2.UNIMPLEMENTED


async def test_it_is_off_unless_asked_for():
    async with opened(FakeService(limits())) as door:
        assert door.server.addresses.admin_address is None


async def test_an_address_in_use_is_refused():
    async with opened(FakeService(limits(admin_address="127.0.0.1:0"))) as door:
        taken = door.server.addresses.admin_address
        with pytest.raises(OSError, match=taken):
            async with running(FakeService(limits()), limits(admin_address=taken)):
                pytest.fail("it listens")
