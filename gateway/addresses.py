"""Backend addresses as people write them, made into the one target that gRPC resolves and balances over."""

import ipaddress
from collections.abc import Sequence


def target(addresses: Sequence[str]) -> str:
    """One gRPC target for all replicas: an ipv4: or ipv6: list, a DNS name, a socket, or a name for an xDS control plane.

    Each of `addresses` may itself be a list separated by commas. Raises ValueError where no single target names them.
    """
    parts = [part.strip() for address in addresses for part in address.split(",") if part.strip()]
    if not parts:
        raise ValueError("a backend needs at least one address")
    if len(parts) == 1:
        return _single(parts[0])
    hosts = [_numeric(part) for part in parts]
    families = {family for family, _ in hosts}
    if len(families) > 1 or None in families:
        raise ValueError(
            f"several addresses of a backend must be IP addresses of one family, and these are not: {', '.join(parts)}; "
            "for a name, give one that resolves to all replicas"
        )
    return f"{families.pop()}:{','.join(part for _, part in hosts)}"


def _single(address: str) -> str:
    if address.startswith(("unix:", "dns:", "ipv4:", "ipv6:", "xds:")):
        return address
    family, numeric = _numeric(address)
    return f"{family}:{numeric}" if family else f"dns:///{_with_port(address)}"


def _numeric(address: str) -> tuple[str | None, str]:
    """The address family, None for a name, and HOST:PORT; localhost counts as an address."""
    host, _, port = _with_port(address).rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        version = ipaddress.ip_address(host.strip("[]")).version
    except ValueError:
        return None, address
    return f"ipv{version}", f"{host}:{port}"


def _with_port(address: str) -> str:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is no address: write HOST:PORT, [IPV6]:PORT, unix:PATH or xds:///NAME")
    return address
