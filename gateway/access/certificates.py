"""Whom a certificate names: the peer's own, or the one that a proxy saw."""

import re
from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.x509.oid import NameOID

# What gRPC calls the names in a certificate, in the order in which they count: the SPIFFE id, the first DNS name, the subject's
# common name.
_NAMES = ("peer_spiffe_id", "peer_dns", "x509_common_name")
_CERTIFICATE = "x509_pem_cert"

# What gRPC takes for a SPIFFE id: a trust domain of up to 255 characters and a path, 2,048 in all.
_SPIFFE_ID = re.compile(r"spiffe://[^/]{0,255}/[^/].*", re.DOTALL)
_MAX_SPIFFE_CHARS = 2048

# A key and its value, which is quoted where it holds a separator.
_PAIR = re.compile(
    r'\s*(?P<key>[A-Za-z]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^";,]*))(?P<end>[;,]|$)'
)


def has_certificate(auth_context: Mapping[str, Iterable[bytes]]) -> bool:
    """Whether the peer proved to hold one. gRPC takes none but those that the server's authority has signed."""
    return _CERTIFICATE in auth_context


def named_by_peer(auth_context: Mapping[str, Iterable[bytes]]) -> str | None:
    """Whom the peer's certificate names, by gRPC's view of the connection (`ServicerContext.auth_context`)."""
    names = (next(iter(auth_context.get(key) or ()), b"") for key in _NAMES)
    return next((name.decode(errors="replace") for name in names if name), None)


def auth_context_of(certificate: bytes) -> dict[str, list[bytes]]:
    """What gRPC would say of a connection whose peer proved to hold this certificate, in DER. Raises ValueError."""
    parsed = x509.load_der_x509_certificate(certificate)
    names = _alternative_names(parsed)
    found = {
        "peer_spiffe_id": _spiffe_ids(names.get_values_for_type(x509.UniformResourceIdentifier)),
        "peer_dns": names.get_values_for_type(x509.DNSName),
        "x509_common_name": [
            str(name.value) for name in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ],
    }
    return {_CERTIFICATE: [certificate]} | {key: [each.encode() for each in found[key]] for key in found}


def named_by_proxy(header: str) -> str | None:
    """Whom Envoy's x-forwarded-client-cert names: the URI, else the first DNS name.

    Of several certificates in it the last counts, which is the one that the nearest proxy saw itself; those before are
    what that peer said. https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers
    """
    names: dict[str, str] = {}
    position = 0
    while position < len(header):
        pair = _PAIR.match(header, position)
        if pair is None:
            return None
        value = pair["plain"] if pair["quoted"] is None else re.sub(r"\\(.)", r"\1", pair["quoted"])
        names.setdefault(pair["key"].lower(), value)
        position = pair.end()
        if pair["end"] == ",":
            names = {}
    return names.get("uri") or names.get("dns") or None


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def _spiffe_ids(uris: list[str]) -> list[str]:
    """One at most: of several URIs none counts."""
    is_one = len(uris) == 1 and len(uris[0]) <= _MAX_SPIFFE_CHARS and _SPIFFE_ID.fullmatch(uris[0])
    return uris if is_one else []
