"""Where the replicas of a backend are, as its name tells from moment to moment."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable

from serving import logs

# How often a name is looked up. Replicas come and go while connections last.
_LOOKUP_SECONDS = 5.0
# Until it was found for the first time.
_FIRST_LOOKUP_SECONDS = 1.0

_DNS = "dns:///"

_log = logs.get_logger(__name__)


def dns_name(target: str) -> tuple[str, int] | None:
    """Host and port of a target that the system's resolver can look up; None of any other."""
    if not target.startswith("dns:") or (target.startswith("dns://") and not target.startswith(_DNS)):
        return None
    host, _, port = target.removeprefix(_DNS).removeprefix("dns:").rpartition(":")
    return (host, int(port)) if host and port.isdecimal() else None


def listed(target: str) -> tuple[str, ...] | None:
    """A target for each replica of one that lists addresses; None of one that has to be looked up."""
    scheme, _, rest = target.partition(":")
    if scheme in {"ipv4", "ipv6"}:
        return tuple(f"{scheme}:{address}" for address in rest.split(","))
    return (target,) if scheme == "unix" else None


async def lookup(host: str, port: int) -> set[str]:
    """Targets of one family, the one that the system prefers: a replica with addresses of both would count twice.

    Raises OSError, and UnicodeError for what cannot be a name.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family = found[0][0]
    addresses = {str(address[0]) for each, _, _, _, address in found if each == family}
    if family == socket.AF_INET6:
        return {f"ipv6:[{address}]:{port}" for address in addresses}
    return {f"ipv4:{address}:{port}" for address in addresses}


async def follow(
    look: Callable[[], Awaitable[Iterable[str]]],
    update: Callable[[Iterable[str]], None],
    *,
    seconds: float = _LOOKUP_SECONDS,
) -> None:
    """Tell `update` of the replicas that `look` finds, again and again; who is known stays known where it finds no answer."""
    wait = min(seconds, _FIRST_LOOKUP_SECONDS)
    while True:
        try:
            update(await look())
        except (OSError, UnicodeError) as error:  # the second for a name that no name can be
            _log.warning("a backend's name cannot be looked up", reason=str(error))
        else:
            wait = seconds
        await asyncio.sleep(wait)
