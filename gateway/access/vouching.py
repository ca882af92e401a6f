"""What the process says to itself of callers' certificates, where TLS ends before gRPC: in its front for HTTP."""

import hmac
import secrets
from collections.abc import Mapping

from gateway.access.certificates import auth_context_of
from serving.errors import Unauthenticated
from serving.interceptors import Context

_SECRET, _CERTIFICATE = "x-duoscribe-voucher", "x-duoscribe-certificate-bin"


class Voucher:
    """Known to one process and never written down, so that no caller can claim a certificate by metadata."""

    def __init__(self) -> None:
        self._secret = secrets.token_urlsafe(32)

    def metadata(self, certificate: bytes) -> tuple[tuple[str, str | bytes], ...]:
        """For calls of whoever proved to hold this certificate, in DER."""
        return ((_SECRET, self._secret), (_CERTIFICATE, certificate))

    def auth_context(self, context: Context) -> Mapping[str, list[bytes]] | None:
        """As the context's own, of the connection that is vouched for; None where nobody vouches. Raises Unauthenticated."""
        given = dict(context.invocation_metadata() or ())
        said, certificate = given.get(_SECRET), given.get(_CERTIFICATE)
        if not isinstance(said, str) or not hmac.compare_digest(said, self._secret):
            return None
        try:
            return auth_context_of(certificate if isinstance(certificate, bytes) else b"")
        except ValueError as error:
            raise Unauthenticated("the client certificate cannot be read") from error
