"""Who calls."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.access.certificates import has_certificate, named_by_peer, named_by_proxy
from gateway.access.files import WatchedFile
from gateway.access.jwts import JwtVerifier
from gateway.access.names import ANONYMOUS, is_caller_name
from gateway.access.tokens import Tokens
from gateway.access.vouching import Voucher
from serving.errors import Unauthenticated
from serving.interceptors import Context

_FORWARDED = "x-forwarded-client-cert"


@dataclass(frozen=True, kw_only=True)
class Identities:
    """Gives each call to a caller, by what counts here.

    A token goes before a certificate: it says who calls where a proxy holds the connection. One that is not valid is
    refused, whatever else the call brings. Where `proxies_are_trusted`, the certificate that counts is the one that the
    proxy tells of, and never the proxy's own. Of a connection that ended elsewhere in this process the `voucher` tells.
    """

    tokens: WatchedFile[Tokens] | None = None
    jwts: JwtVerifier | None = None
    proxies_are_trusted: bool = False
    voucher: Voucher = field(default_factory=Voucher)

    def caller(self, context: Context) -> str:
        """The caller's name; ANONYMOUS where nothing counts and the peer has no certificate. Raises Unauthenticated."""
        token = _bearer_token(context) if self._takes_tokens else None
        name = self._by_certificate(context) if token is None else self._by_token(token)
        if name is None:
            if not self._takes_tokens and not self.proxies_are_trusted:
                return ANONYMOUS
            raise Unauthenticated(f"the call does not say who makes it; send {self._wanted}")
        if not is_caller_name(name):
            raise Unauthenticated("the name in the credentials is too long, or not printable")
        return name

    @property
    def _takes_tokens(self) -> bool:
        return self.tokens is not None or self.jwts is not None

    @property
    def _wanted(self) -> str:
        # Where the connection itself asks for certificates, none comes without.
        ways = (
            (self._takes_tokens, "a token, in the metadata authorization as Bearer TOKEN"),
            (self.proxies_are_trusted, "a client certificate"),
        )
        return ", or ".join(way for counts, way in ways if counts)

    def _by_token(self, token: str) -> str:
        if self.jwts is not None and (self.tokens is None or "." in token):
            return self.jwts.caller(token)
        name = self.tokens.current().caller(token) if self.tokens is not None else None
        if name is None:
            raise Unauthenticated("the token is not one that counts here")
        return name

    def _by_certificate(self, context: Context) -> str | None:
        if self.proxies_are_trusted:
            return named_by_proxy(",".join(_metadata(context, _FORWARDED)))
        peer = self.voucher.auth_context(context) or context.auth_context()
        name = named_by_peer(peer)
        if name is None and has_certificate(peer):
            raise Unauthenticated(
                "the client certificate names nobody: it needs a URI, a DNS name or a common name"
            )
        return name


def _bearer_token(context: Context) -> str | None:
    """What the metadata says, once or over and over (Riva's client says it twice under TLS); None where it says nothing.

    Raises Unauthenticated.
    """
    given = list(dict.fromkeys(_metadata(context, "authorization")))
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("the metadata authorization must be given once, as Bearer TOKEN")
    return token.strip()


def _metadata(context: Context, wanted: str) -> Iterator[str]:
    for key, value in context.invocation_metadata() or ():
        if key == wanted and isinstance(value, str):
            yield value
