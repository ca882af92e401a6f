"""TLS of a server, whose certificates are taken up at the next handshake after their files have changed."""

import datetime as dt
import math

import grpc
from prometheus_client import CollectorRegistry, Gauge

from serving.certificates import CertificateFiles, Credentials, RenewedFiles
from serving.config import ServerConfig


def server_credentials(config: ServerConfig, registry: CollectorRegistry) -> grpc.ServerCredentials | None:
    """What the server proves itself with and checks callers against; None where it shall speak plain text.

    `registry` gets a gauge of when the certificate expires. Raises UnusableCertificate.
    """
    if config.tls_certificate is None:
        return None
    files = RenewedFiles(
        CertificateFiles(certificate=config.tls_certificate, key=config.tls_key, ca=config.tls_client_ca)
    )
    tell_expiry(
        "duoscribe_tls_certificate_expiry_timestamp_seconds",
        "When the certificate that callers are shown expires, in seconds since the epoch.",
        files,
        registry,
    )
    return _renewed(files)


def tell_expiry(name: str, documentation: str, files: RenewedFiles, registry: CollectorRegistry) -> None:
    """A gauge of when the certificate expires, in seconds since the epoch. It looks at the files whenever it is read."""
    gauge = Gauge(name, documentation, registry=registry)
    gauge.set_function(lambda: _seconds(files.latest().expires))


def _renewed(files: RenewedFiles) -> grpc.ServerCredentials:
    """Connections that are open keep what they began with. Callers must have a certificate where there is a CA for them."""
    serving = files.latest()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        """Called at each handshake, by threads of gRPC, one at a time."""
        nonlocal serving
        latest = files.latest()
        if latest is serving:
            return None
        serving = latest
        return _configuration(latest)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(serving),
        changed,  # type: ignore[arg-type]  # None says that nothing changed; types-grpcio does not know it
        require_client_authentication=bool(serving.ca),
    )


def _configuration(credentials: Credentials) -> grpc.ServerCertificateConfiguration:
    pair = (credentials.key, credentials.certificate)
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=credentials.ca or None)


def _seconds(moment: dt.datetime | None) -> float:
    return math.inf if moment is None else moment.timestamp()
