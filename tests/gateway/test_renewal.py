"""A channel whose certificates change, against a server that tells who calls."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc import ChannelConnectivity

from gateway.renewal import RenewedChannel
from serving.certificates import CertificateFiles, RenewedFiles
from serving.server import running
from speech.asr.v1 import asr_pb2, asr_pb2_grpc
from support.certificates import Authority
from support.fake_service import FakeService, Gate, answers, audio, config, end, limits, stream_of
from support.waiting import until


class Host(FakeService):
    """Answers with the name in its caller's certificate."""

    async def DescribeRecognition(self, request, context):
        (caller,) = context.auth_context()["peer_spiffe_id"]
        return asr_pb2.DescribeRecognitionResponse(family=caller.decode())


class Channels:
    """Those that were opened to one address, the newest last."""

    def __init__(self, address):
        self._address = address
        self.opened = []

    def open(self, credentials):
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.opened.append(grpc.aio.secure_channel(self._address, credentials, options=options))
        return self.opened[-1]


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def folders(tmp_path, authority):
    for name in ("server", "one"):
        authority.identity(name).write(tmp_path / name)
    return tmp_path


@pytest.fixture
def files(folders):
    return CertificateFiles(
        certificate=folders / "one" / "tls.crt",
        key=folders / "one" / "tls.key",
        ca=folders / "one" / "ca.crt",
    )


@asynccontextmanager
async def hosted(folders, **behaviour):
    server = folders / "server"
    settings = limits(
        tls_certificate=server / "tls.crt", tls_key=server / "tls.key", tls_client_ca=server / "ca.crt"
    )
    async with running(Host(settings, **behaviour), settings) as host:
        await host.wait_serving()
        yield Channels(host.address)


async def caller(stub):
    return (await stub.DescribeRecognition(asr_pb2.DescribeRecognitionRequest(), timeout=10)).family


async def has_become(stub, name):
    async with asyncio.timeout(10):
        while await caller(stub) != f"spiffe://duoscribe/{name}":  # noqa: ASYNC110 - gRPC connects when it does
            await asyncio.sleep(0.01)


async def test_calls_use_the_new_certificate_once_it_is_there_and_those_in_flight_end_on_the_old_channel(
    authority, folders, files
):
    gate = Gate()
    async with (
        hosted(folders, read=gate.read) as channels,
        RenewedChannel(channels.open, RenewedFiles(files)) as channel,
    ):
        stub = asr_pb2_grpc.SpeechRecognitionStub(channel)
        assert await caller(stub) == "spiffe://duoscribe/one"
        recognizing = stub.Recognize(stream_of([config(), audio(b"abc"), end()]))
        call = asyncio.create_task(answers(recognizing))
        await gate.entered.wait()

        authority.identity("two").write(folders / "one")
        await has_become(stub, "two")

        old, _ = channels.opened
        assert old.get_state() is ChannelConnectivity.READY
        gate.released.set()
        assert (await call)[1].completed.words == 3
        await until(lambda: old.get_state() is ChannelConnectivity.SHUTDOWN)


async def test_while_the_new_certificate_is_not_taken_the_old_connection_goes_on(folders, files, authority):
    async with (
        hosted(folders) as channels,
        RenewedChannel(channels.open, RenewedFiles(files)) as channel,
    ):
        stub = asr_pb2_grpc.SpeechRecognitionStub(channel)
        assert await caller(stub) == "spiffe://duoscribe/one"
        Authority().identity("stranger").write(folders / "one")
        await until(lambda: channel.get_state() and len(channels.opened) == 2)
        await until(lambda: channels.opened[1].get_state(True) is ChannelConnectivity.TRANSIENT_FAILURE)
        assert await caller(stub) == "spiffe://duoscribe/one"

        authority.identity("two").write(folders / "one")
        await has_become(stub, "two")


async def test_closing_it_closes_every_channel_that_was_opened(folders, files, authority):
    gate = Gate()
    async with hosted(folders, read=gate.read) as channels:
        async with RenewedChannel(channels.open, RenewedFiles(files)) as channel:
            stub = asr_pb2_grpc.SpeechRecognitionStub(channel)
            recognizing = stub.Recognize(stream_of([config()]))
            await gate.entered.wait()
            for name in ("two", "three"):
                authority.identity(name).write(folders / "one")
                await has_become(stub, name)
        assert [each.get_state() for each in channels.opened] == [ChannelConnectivity.SHUTDOWN] * 3
        assert await recognizing.code() is grpc.StatusCode.CANCELLED
