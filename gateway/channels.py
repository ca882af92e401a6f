"""Channels to backends: health-checked, balanced as asked for, and careful about what is called twice.

A service config (https://grpc.io/docs/guides/service-config/) says it to gRPC. Recordings are not in it: the gateway calls
again for them by itself, since only it knows what an earlier call has delivered (`gateway.fanout`). gRPC then repeats an
upload only where no service has seen it, which it calls a transparent retry. Their deadline is the caller's.
"""

import json
from functools import partial
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from grpc import aio

from gateway.renewal import RenewedChannel
from serving.certificates import RenewedFiles
from serving.keepalive import keepalive_options

# A replica that comes up is found within this time, which must be sooner than a recording's calls are given up.
RECONNECT_SECONDS = 1.0

LEAST_REQUEST, ROUND_ROBIN, WEIGHTED_ROUND_ROBIN = "least_request", "round_robin", "weighted_round_robin"
BALANCING = (LEAST_REQUEST, ROUND_ROBIN, WEIGHTED_ROUND_ROBIN)

# gRPC's own policies; a channel to one replica has the first, under which it is ready while that replica is healthy.
_POLICIES: dict[str, dict[str, Any]] = {
    ROUND_ROBIN: {},
    # Calls last minutes and report when they end, so replicas are asked for their load meanwhile.
    WEIGHTED_ROUND_ROBIN: {
        "enableOobLoadReport": True,
        "oobReportingPeriod": "1s",
        "blackoutPeriod": "2s",
        "weightUpdatePeriod": "1s",
    },
}

# Describing changes nothing, so it may be asked for again.
_DESCRIBE: dict[str, Any] = {
    "timeout": "5s",
    "retryPolicy": {
        "maxAttempts": 3,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    },
}


def open_channel(
    target: str,
    service: ServiceDescriptor,
    *,
    balancing: str = ROUND_ROBIN,
    authority: str | None = None,
    files: RenewedFiles | None = None,
) -> aio.Channel:
    """A channel to all replicas that `target` names, of which those are called that are healthy for `service`.

    `authority` is the name that replicas are known by where `target` is the address of one. With `files` it speaks TLS, but
    to sockets of this machine.
    """
    options: list[tuple[str, str | int]] = [
        ("grpc.service_config", json.dumps(service_config(service, balancing))),
        ("grpc.enable_http_proxy", 0),
        # Servers take pings every 15 s.
        *keepalive_options(interval_ms=20_000, timeout_ms=10_000),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", round(RECONNECT_SECONDS * 1000)),
        ("grpc.dns_min_time_between_resolutions_ms", 5_000),
        # Turns of hours in one message.
        ("grpc.max_receive_message_length", 64 * 1024 * 1024),
        *([("grpc.default_authority", authority)] if authority else []),
    ]
    if files is None or target.startswith("unix:"):
        return aio.insecure_channel(target, options=options)
    return RenewedChannel(partial(aio.secure_channel, target, options=options), files)


def service_config(service: ServiceDescriptor, balancing: str) -> dict[str, Any]:
    """In the form of grpc.service_config.ServiceConfig. Under xds:/// the control plane's takes its place."""
    described = [
        {"service": service.full_name, "method": method.name}
        for method in service.methods
        if not method.client_streaming
    ]
    return {
        "loadBalancingConfig": [{balancing: _POLICIES[balancing]}],
        # Replicas that are loading or draining say so in their health, and get no calls.
        "healthCheckConfig": {"serviceName": service.full_name},
        "methodConfig": [{"name": described, **_DESCRIBE}],
    }
