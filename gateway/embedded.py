"""The three services on this machine, for one command: over sockets that nobody else can reach."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.config import ENV_PREFIX
from gateway.private_directory import private_directory
from gateway.supervisor import Launch, Services, Sink, running_services
from serving.models.roles import ROLES
from serving.models.store import ModelStore


@asynccontextmanager
async def embedded_services(
    *,
    gateway_address: str | None = None,
    sink: Sink,
    grace_seconds: float,
    flags: tuple[str, ...] = (),
    asr_flags: tuple[str, ...] = (),
) -> AsyncIterator[Services]:
    """Run all three until the context ends; the gateway listens on a private socket unless it is given an address.

    `flags` are for each of the three, `asr_flags` for recognition alone; all else comes from the environment. Raises ServiceDied.
    """
    with private_directory() as directory:
        asr, diarization = f"unix:{directory}/asr.sock", f"unix:{directory}/diarization.sock"
        front = gateway_address or f"unix:{directory}/gateway.sock"
        backends = ("--asr", asr, "--diarization", diarization)
        health = _own_health(directory) if gateway_address else ()
        launches = (
            Launch("asr", "asr_service", ("--address", asr, *flags, *asr_flags)),
            Launch("diarization", "diarization_service", ("--address", diarization, *flags)),
            Launch("gateway", "gateway", ("--address", front, *backends, *health, *flags)),
        )
        async with running_services(
            launches, directory=directory, sink=sink, grace_seconds=grace_seconds
        ) as services:
            yield services


def _own_health(directory: Path) -> tuple[str, ...]:
    """Flags by which the gateway can be seen to get ready although its address may speak TLS."""
    if f"{ENV_PREFIX}HEALTH_ADDRESS" in os.environ:
        return ()
    return ("--health-address", f"unix:{directory}/health.sock")


def missing_models(store: ModelStore, environment: Mapping[str, str]) -> list[str]:
    """Names of the models that the services will load and that have not been pulled.

    A folder that a variable names instead is left to the service, which says what is wrong with it.
    """
    chosen = {role.chosen(environment) for role in ROLES}
    return [entry.name for entry in store.entries() if entry.name in chosen and not store.has(entry)]
