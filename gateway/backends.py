"""The two backends, their replicas, and what they say about themselves."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from google.protobuf.descriptor import ServiceDescriptor
from grpc import aio
from prometheus_client import CollectorRegistry

from gateway.addresses import target
from gateway.channels import LEAST_REQUEST, ROUND_ROBIN, open_channel
from gateway.config import GatewayConfig
from gateway.discovery import dns_name, follow, listed, lookup
from gateway.replicas import Replica, Replicas, StubT
from serving import logs
from serving.certificates import RenewedFiles
from serving.errors import Unavailable
from serving.tls import tell_expiry
from speech.asr.v1 import asr_pb2, asr_pb2_grpc
from speech.diarization.v1 import diarization_pb2, diarization_pb2_grpc

DescriptionT = TypeVar("DescriptionT")

RECOGNITION = asr_pb2.DESCRIPTOR.services_by_name["SpeechRecognition"]
DIARIZATION = diarization_pb2.DESCRIPTOR.services_by_name["SpeakerDiarization"]

_log = logs.get_logger(__name__)


class Backend(Generic[StubT]):
    """One backend. Belongs to the event loop that it is made in.

    Under `least_request` each replica has a channel of its own; under gRPC's policies, and where only gRPC can say where the
    replicas are (xds:///), one channel leads to all of them. Replicas prove that they are `server_name`, or what `addresses`
    call them, where there are `files` to call them with TLS.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        service: ServiceDescriptor,
        stub: Callable[[aio.Channel], StubT],
        balancing: str,
        *,
        server_name: str | None = None,
        files: RenewedFiles | None = None,
    ) -> None:
        whole = target(addresses)
        name, known = dns_name(whole), listed(whole)
        is_ours = balancing == LEAST_REQUEST and (name or known) is not None
        policy = ROUND_ROBIN if balancing == LEAST_REQUEST else balancing
        authority = server_name or (f"{name[0]}:{name[1]}" if is_ours and name else None)

        def connect(where: str) -> Replica[StubT]:
            channel = open_channel(where, service, balancing=policy, authority=authority, files=files)
            return Replica(channel, stub(channel), where)

        self.replicas = Replicas(connect)
        self._following: asyncio.Task[None] | None = None
        if is_ours and name:
            self._following = asyncio.create_task(follow(partial(lookup, *name), self.replicas.update))
        else:
            self.replicas.update(known if is_ours and known else (whole,))

    def any_stub(self) -> StubT:
        """Of the replica that is called next. Raises Unavailable where none is known."""
        replica = self.replicas.pick(Counter())
        if replica is None:
            raise Unavailable("no replica of the backend is known; try again later")
        return replica.stub

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
        await self.replicas.close()


class Backends:
    """Both of them. `registry` learns when what they are called with expires. Raises UnusableCertificate."""

    def __init__(self, config: GatewayConfig, registry: CollectorRegistry) -> None:
        files = _files(config, registry)
        self.asr = Backend(
            config.asr,
            RECOGNITION,
            asr_pb2_grpc.SpeechRecognitionStub,
            config.balancing,
            server_name=config.asr_server_name,
            files=files,
        )
        self.diarization = Backend(
            config.diarization,
            DIARIZATION,
            diarization_pb2_grpc.SpeakerDiarizationStub,
            config.balancing,
            server_name=config.diarization_server_name,
            files=files,
        )

    async def close(self) -> None:
        await self.asr.close()
        await self.diarization.close()

    async def describe(
        self, seconds: float
    ) -> tuple[
        asr_pb2.DescribeRecognitionResponse | None, diarization_pb2.DescribeDiarizationResponse | None
    ]:
        """Each backend's description; None where none came in time."""
        return await asyncio.gather(
            _unless_failed(lambda: self._describe_recognition(seconds)),
            _unless_failed(lambda: self._describe_diarization(seconds)),
        )

    def _describe_recognition(self, seconds: float) -> Awaitable[asr_pb2.DescribeRecognitionResponse]:
        request = asr_pb2.DescribeRecognitionRequest()
        return self.asr.any_stub().DescribeRecognition(request, timeout=seconds)

    def _describe_diarization(self, seconds: float) -> Awaitable[diarization_pb2.DescribeDiarizationResponse]:
        request = diarization_pb2.DescribeDiarizationRequest()
        return self.diarization.any_stub().DescribeDiarization(request, timeout=seconds)


def _files(config: GatewayConfig, registry: CollectorRegistry) -> RenewedFiles | None:
    if config.backend_files is None:
        return None
    files = RenewedFiles(config.backend_files)
    if config.backend_certificate is not None:
        tell_expiry(
            "duoscribe_gateway_backend_certificate_expiry_timestamp_seconds",
            "When the certificate that backends are shown expires, in seconds since the epoch.",
            files,
            registry,
        )
    return files


async def _unless_failed(describe: Callable[[], Awaitable[DescriptionT]]) -> DescriptionT | None:
    try:
        return await describe()
    except Unavailable as error:
        _log.warning("a backend does not describe itself", reason=error.message)
    except aio.AioRpcError as error:
        _log.warning("a backend does not describe itself", code=error.code().name, reason=error.details())
    return None
