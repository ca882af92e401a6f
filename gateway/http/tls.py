"""TLS for a server on asyncio, whose certificates are taken up at the next handshake after their files have changed."""

import ssl
from typing import Any, Self

from serving.certificates import CertificateFiles, Credentials, RenewedFiles


class RenewedContext(ssl.SSLContext):
    """Another context in each handshake after the files have changed; asyncio asks it for one each time (`wrap_bio`).

    Callers must have a certificate where there is a CA for them. Raises UnusableCertificate.
    """

    _files: CertificateFiles
    _renewed: RenewedFiles
    _taken: Credentials
    _current: ssl.SSLContext

    def __new__(cls, files: CertificateFiles) -> Self:
        context = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        context._files, context._renewed = files, RenewedFiles(files)
        context._taken = context._renewed.latest()
        context._current = _context(files, context._taken)
        return context

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return self._latest().wrap_bio(*arguments, **options)

    def _latest(self) -> ssl.SSLContext:
        latest = self._renewed.latest()
        if latest is not self._taken:
            try:
                self._current, self._taken = _context(self._files, latest), latest
            except (OSError, ssl.SSLError):
                # Replaced once more since they were read; the next handshake sees what by.
                return self._current
        return self._current


def _context(files: CertificateFiles, credentials: Credentials) -> ssl.SSLContext:
    """The chain comes from its files, as there is no other way into a context. Raises OSError, SSLError."""
    if files.certificate is None:
        raise ValueError("a server needs a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    if credentials.ca:
        context.load_verify_locations(cadata=credentials.ca.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context
