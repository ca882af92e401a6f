"""The parts, put together as the configuration says."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from gateway.access.accounts import Accounts
from gateway.access.config import AccessConfig
from gateway.access.files import WatchedFile
from gateway.access.identity import Identities
from gateway.access.interceptor import AccessInterceptor
from gateway.access.jwts import JwtVerifier, parse_keys
from gateway.access.limits import CallersFile
from gateway.access.metrics import AccessMetrics
from gateway.access.names import ANONYMOUS
from gateway.access.tokens import Tokens
from gateway.access.vouching import Voucher


def access_interceptor(
    config: AccessConfig, registry: CollectorRegistry, voucher: Voucher | None = None
) -> AccessInterceptor:
    """Raises FileError, where a file that the configuration names cannot be used. A front of this process has the `voucher`."""
    tokens = WatchedFile(config.tokens_file, Tokens.parse) if config.tokens_file is not None else None
    callers = _callers(config)
    identities = Identities(
        tokens=tokens,
        jwts=_jwts(config),
        proxies_are_trusted=config.trust_client_certificate_header,
        voucher=voucher or Voucher(),
    )

    def is_named(caller: str) -> bool:
        return (
            caller == ANONYMOUS
            or caller in callers().callers
            or (tokens is not None and caller in tokens.current().names)
        )

    metrics = AccessMetrics(registry, is_named)
    return AccessInterceptor(identities, Accounts(callers, metrics), metrics)


def _callers(config: AccessConfig) -> Callable[[], CallersFile]:
    if config.callers_file is None:
        return CallersFile
    return WatchedFile(config.callers_file, CallersFile.parse).current


def _jwts(config: AccessConfig) -> JwtVerifier | None:
    if config.jwks_file is None or config.jwt_issuer is None or config.jwt_audience is None:
        return None
    return JwtVerifier(
        keys=WatchedFile(config.jwks_file, parse_keys),
        issuer=config.jwt_issuer,
        audience=config.jwt_audience,
        claim=config.jwt_caller_claim,
        leeway_seconds=config.jwt_leeway_seconds,
    )
