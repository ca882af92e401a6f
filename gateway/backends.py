"""The channels to the backends, and what the backends say about themselves."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import grpc
from grpc import aio

from gateway.addresses import target
from serving import logs
from serving.keepalive import keepalive_options
from speech.asr.v1 import asr_pb2, asr_pb2_grpc
from speech.diarization.v1 import diarization_pb2, diarization_pb2_grpc

DescriptionT = TypeVar("DescriptionT")

RECOGNITION = asr_pb2.DESCRIPTOR.services_by_name["SpeechRecognition"].full_name
DIARIZATION = diarization_pb2.DESCRIPTOR.services_by_name["SpeakerDiarization"].full_name

# A replica that comes up is found within this time, which must be sooner than a recording's calls are given up.
RECONNECT_SECONDS = 1.0

_log = logs.get_logger(__name__)


class Backends:
    """One channel to all replicas of each backend. Belongs to the event loop that it is made in."""

    def __init__(self, asr: Sequence[str], diarization: Sequence[str]) -> None:
        self._channels = (_channel(asr, RECOGNITION), _channel(diarization, DIARIZATION))
        self.asr = asr_pb2_grpc.SpeechRecognitionStub(self._channels[0])
        self.diarization = diarization_pb2_grpc.SpeakerDiarizationStub(self._channels[1])

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    def connect(self) -> None:
        """Begin to connect, so that the first call does not wait for it."""
        for channel in self._channels:
            channel.get_state(try_to_connect=True)

    async def describe(
        self, seconds: float
    ) -> tuple[
        asr_pb2.DescribeRecognitionResponse | None, diarization_pb2.DescribeDiarizationResponse | None
    ]:
        """Each backend's description; None where none came in time."""
        recognition = self.asr.DescribeRecognition(asr_pb2.DescribeRecognitionRequest(), timeout=seconds)
        diarization = self.diarization.DescribeDiarization(
            diarization_pb2.DescribeDiarizationRequest(), timeout=seconds
        )
        return await asyncio.gather(_unless_failed(recognition), _unless_failed(diarization))


async def _unless_failed(description: Awaitable[DescriptionT]) -> DescriptionT | None:
    try:
        return await description
    except aio.AioRpcError as error:
        _log.warning("a backend does not describe itself", code=error.code().name, reason=error.details())
        return None


def _channel(addresses: Sequence[str], service: str) -> aio.Channel:
    service_config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        # Replicas that are loading or draining say so in their health, and get no calls.
        "healthCheckConfig": {"serviceName": service},
    }
    options: list[tuple[str, str | int]] = [
        ("grpc.service_config", json.dumps(service_config)),
        ("grpc.enable_http_proxy", 0),
        # Servers take pings every 15 s.
        *keepalive_options(interval_ms=20_000, timeout_ms=10_000),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", round(RECONNECT_SECONDS * 1000)),
        ("grpc.dns_min_time_between_resolutions_ms", 5_000),
        # Turns of hours in one message.
        ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ]
    return grpc.aio.insecure_channel(target(addresses), options=options)
