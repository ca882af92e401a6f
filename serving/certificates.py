"""Certificates, keys and authorities in files that may be replaced at any time.

Kubernetes and cert-manager turn a symbolic link to a folder with the new files; other tools write over the old ones. So
what a path resolves to is looked at, and content is taken only once it is whole and its parts fit each other.
"""

import datetime as dt
import threading
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from serving import logs

_log = logs.get_logger(__name__)

# Which file each path is, and in what state.
_Stamp = tuple[tuple[int, int, int, int] | None, ...]


class UnusableCertificate(Exception):  # noqa: N818 - named after what is wrong
    """A certificate, its key or an authority cannot be used; the message names the file, and what is wrong with it."""


@dataclass(frozen=True)
class Credentials:
    """What the files held, in PEM; what was not asked for is empty.

    `expires` is when the first certificate of the chain to end does so, in UTC; None without a chain.
    """

    certificate: bytes
    key: bytes
    ca: bytes
    expires: dt.datetime | None

    def for_channel(self) -> grpc.ChannelCredentials:
        """Without authorities of its own a caller trusts those that gRPC brings."""
        return grpc.ssl_channel_credentials(self.ca or None, self.key or None, self.certificate or None)


@dataclass(frozen=True, kw_only=True)
class CertificateFiles:
    """Where a certificate chain, its key, and the authorities that peers are checked against are kept, all in PEM.

    Raises ValueError for a certificate without its key, and for a key alone.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate and its key need each other")

    def read(self) -> Credentials:
        """Raises UnusableCertificate."""
        ca = b"" if self.ca is None else _authorities(self.ca)
        if self.certificate is None or self.key is None:
            return Credentials(b"", b"", ca, None)
        certificate, key = _content(self.certificate), _content(self.key)
        chain = _parsed(self.certificate, certificate)
        if not _fits(self.key, key, chain[0]):
            raise UnusableCertificate(
                f"{self.key} is not the key of the first certificate in {self.certificate}"
            )
        return Credentials(certificate, key, ca, min(each.not_valid_after_utc for each in chain))

    def stamp(self) -> _Stamp:
        """Changes whenever a file is replaced or written to."""
        return tuple(_state(path) for path in (self.certificate, self.key, self.ca) if path is not None)


class RenewedFiles:
    """The last whole content of files that are replaced while they are in use. May be asked by several threads.

    Raises UnusableCertificate where there is none to begin with.
    """

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._stamp: _Stamp | None = files.stamp()
        self._complaint = ""
        self._credentials = files.read()

    def latest(self) -> Credentials:
        """The same object until the files change. While they cannot be used, the old content, and one line in the log."""
        with self._lock:
            # Taken before reading, so that what changes meanwhile is read next time.
            stamp = self._files.stamp()
            if stamp != self._stamp:
                self._stamp = stamp if self._take_up() else None
            return self._credentials

    def _take_up(self) -> bool:
        try:
            self._credentials = self._files.read()
        except UnusableCertificate as error:
            if str(error) != self._complaint:
                _log.error("changed certificates cannot be used; the old ones stay", reason=str(error))
            self._complaint = str(error)
            return False
        self._complaint = ""
        _log.info("changed certificates are in use", expire=str(self._credentials.expires))
        return True


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableCertificate(f"{path} cannot be read: {error.strerror}") from error


def _parsed(path: Path, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise UnusableCertificate(f"{path} holds no certificate in PEM, or one that is broken") from error


def _authorities(path: Path) -> bytes:
    content = _content(path)
    _parsed(path, content)
    return content


def _fits(path: Path, key: bytes, certificate: x509.Certificate) -> bool:
    try:
        return load_pem_private_key(key, password=None).public_key() == certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableCertificate(f"{path} holds no private key in PEM without a password") from error


def _state(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
