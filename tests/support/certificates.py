"""Certificates made for one test: an authority, and peers whose names are SPIFFE URIs."""

import datetime as dt
import ipaddress
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its key in PEM, and the authority that its holder trusts."""

    certificate: bytes
    key: bytes
    trusted: bytes

    def write(self, folder: Path) -> None:
        """As Kubernetes mounts a secret: the files are links through one link, which is turned to a new folder at once."""
        folder.mkdir(parents=True, exist_ok=True)
        data = Path(tempfile.mkdtemp(prefix="..", dir=folder))
        files = {"tls.crt": self.certificate, "tls.key": self.key, "ca.crt": self.trusted}
        for name, content in files.items():
            (data / name).write_bytes(content)
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(Path("..data") / name)
        turned = folder / "..data_tmp"
        turned.symlink_to(data.name)
        turned.rename(folder / "..data")

    def credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.trusted, self.key or None, self.certificate or None)


class Authority:
    """Signs whatever it is asked to."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        # Authorities have names of their own: whoever checks a certificate looks for its issuer by name first.
        common_name = f"tests {x509.random_serial_number()}"
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        extension = x509.BasicConstraints(ca=True, path_length=0)
        builder = _builder(self._name, self._name, self._key, _LIFE).add_extension(extension, critical=True)
        self.certificate = _pem(builder.sign(self._key, hashes.SHA256()))

    def identity(
        self, path: str, *, name: str = "", ends_in: dt.timedelta = _LIFE, only_serves: bool = False
    ) -> Identity:
        """The peer spiffe://duoscribe/PATH, whom DNS knows by `name`; at this machine where it has none."""
        key = ec.generate_private_key(ec.SECP256R1())
        place = x509.DNSName(name) if name else x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))
        names = x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier(f"spiffe://duoscribe/{path}"), place]
        )
        builder = _builder(x509.Name([]), self._name, key, ends_in).add_extension(names, critical=True)
        if only_serves:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=True
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        return Identity(_pem(certificate), _private_pem(key), self.certificate)

    def named(self, subject: x509.Name, names: Sequence[str]) -> Identity:
        """A peer with just these names; those with a colon are URIs, others are for DNS."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self._name, key, _LIFE)
        if names:
            alternatives = [
                x509.UniformResourceIdentifier(name) if ":" in name else x509.DNSName(name) for name in names
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Identity(_pem(certificate), _private_pem(key), self.certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, ends_in: dt.timedelta
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * _LIFE)
        .not_valid_after(now + ends_in)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
