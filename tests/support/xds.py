"""A control plane of one service: who asks over ADS where "asr" is gets the replicas that a test has named.

What it says is Envoy's xDS API, version 3 (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol), in the
state-of-the-world form. Messages are written by field number, for xds-protos, which has them, overwrites other packages.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet

Value: TypeAlias = "str | int | bytes | Mapping[int, Value] | Sequence[Value]"

_METHOD = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_TYPES = "type.googleapis.com/envoy."
_LISTENER = _TYPES + "config.listener.v3.Listener"
_CLUSTER = _TYPES + "config.cluster.v3.Cluster"
_ENDPOINTS = _TYPES + "config.endpoint.v3.ClusterLoadAssignment"
_CONNECTION_MANAGER = _TYPES + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = _TYPES + "extensions.filters.http.router.v3.Router"
_EDS = 3


class ControlPlane:
    """Replicas may change; who has asked is told."""

    def __init__(self, name: str, addresses: Iterable[str]) -> None:
        self.address = ""
        self._name = name
        self._addresses = list(addresses)
        self._changed = asyncio.Condition()

    def bootstrap(self) -> Mapping[str, Any]:
        """What GRPC_XDS_BOOTSTRAP_CONFIG is to hold."""
        server = {
            "server_uri": self.address,
            "channel_creds": [{"type": "insecure"}],
            "server_features": ["xds_v3"],
        }
        return {"xds_servers": [server], "node": {"id": "gateway"}}

    async def move(self, *addresses: str) -> None:
        async with self._changed:
            self._addresses = list(addresses)
            self._changed.notify_all()

    async def stream(self, requests: AsyncIterator[bytes], context: Any) -> None:
        async with asyncio.TaskGroup() as tasks:
            seen: set[str] = set()
            async for request in requests:
                fields = {field.field_number: field.data for field in _fields(request)}
                kind = fields[4].decode()
                if kind not in seen:  # the others acknowledge
                    seen.add(kind)
                    tasks.create_task(self._tell(kind, context))

    async def _tell(self, kind: str, context: Any) -> None:
        """Now, and again when it has changed."""
        version = 0
        async with self._changed:
            while True:
                version += 1
                resource = {1: kind, 2: encoded(self._resource(kind))}
                response = {1: str(version), 2: resource, 4: kind, 5: str(version)}
                await context.write(encoded(response))
                await self._changed.wait()

    def _resource(self, kind: str) -> Mapping[int, Value]:
        if kind == _LISTENER:
            return _listener(self._name)
        if kind == _CLUSTER:
            return {1: self._name, 2: _EDS, 3: {1: {3: {}}}}
        return _assignment(self._name, self._addresses)


def encoded(message: Mapping[int, Value]) -> bytes:
    """As protobuf does it: numbers are varints, all else is preceded by its length, and lists are repeated fields."""
    return b"".join(
        _field(number, each)
        for number, value in message.items()
        for each in (value if isinstance(value, list | tuple) else (value,))
    )


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else encoded(value)
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _fields(message: bytes) -> Iterable[Any]:
    return UnknownFieldSet(Empty.FromString(message))


def _listener(name: str) -> Mapping[int, Value]:
    """All calls go to the cluster of the same name."""
    everything = {1: {1: ""}, 2: {1: name}}
    routes = {1: name, 2: {1: name, 2: "*", 3: everything}}
    router = {1: "router", 4: {1: _ROUTER, 2: b""}}
    manager = {4: routes, 5: router}
    return {1: name, 19: {1: {1: _CONNECTION_MANAGER, 2: encoded(manager)}}}


def _assignment(name: str, addresses: Iterable[str]) -> Mapping[int, Value]:
    replicas = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        replicas.append({1: {1: {1: {2: host, 3: int(port)}}}})
    return {1: name, 2: {1: {1: "here"}, 2: replicas, 3: {1: 1}}}


@asynccontextmanager
async def control_plane(name: str, *addresses: str) -> AsyncIterator[ControlPlane]:
    plane = ControlPlane(name, addresses)
    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(plane.stream)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_METHOD, {"StreamAggregatedResources": handler}),)
    )
    plane.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield plane
    await server.stop(None)
