"""Whom certificates name, as gRPC and Envoy tell of them."""

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.access.certificates import auth_context_of, has_certificate, named_by_peer, named_by_proxy
from support.certificates import Authority, Identity

BY = "By=spiffe://duoscribe/gateway;Hash=00ff"


@pytest.mark.parametrize(
    ("names", "caller"),
    [
        (
            {"peer_spiffe_id": [b"spiffe://a/b"], "peer_dns": [b"b.example"], "x509_common_name": [b"b"]},
            "spiffe://a/b",
        ),
        ({"peer_dns": [b"b.example", b"c.example"], "x509_common_name": [b"b"]}, "b.example"),
        ({"x509_common_name": [b"b"]}, "b"),
        ({"x509_common_name": [b""]}, None),
        ({}, None),
    ],
)
def test_the_most_telling_name_of_the_peer_counts(names, caller):
    assert named_by_peer(names) == caller


def test_a_certificate_that_names_nobody_is_one_all_the_same():
    assert has_certificate({"x509_pem_cert": [b"-----BEGIN"], "x509_common_name": [b""]})
    assert not has_certificate({"transport_security_type": [b"insecure"]})


@pytest.mark.parametrize(
    ("header", "caller"),
    [
        (f"{BY};URI=spiffe://duoscribe/caller/billing", "spiffe://duoscribe/caller/billing"),
        (f'{BY};Subject="CN=x,O=\\"y;z\\"";URI=spiffe://a/b;DNS=b.example', "spiffe://a/b"),
        (f'{BY};Subject="";URI=;DNS=b.example;DNS=c.example', "b.example"),
        (f"{BY};URI=spiffe://a/first;URI=spiffe://a/second", "spiffe://a/first"),
        (f'{BY};Subject="CN=x"', None),
        ("", None),
        ("spiffe://a/b", None),
    ],
)
def test_a_proxy_names_the_caller_by_uri_or_dns_name(header, caller):
    assert named_by_proxy(header) == caller


@pytest.mark.parametrize(
    "said",
    [
        "URI=spiffe://a/victim",
        "URI=spiffe://a/victim, ",
        'URI=spiffe://a/victim;x="',
        'x="',
        "nonsense",
        '"',
        ",,",
    ],
)
@pytest.mark.parametrize("subject", ["", 'Subject="";', 'Subject="CN=x";'])
def test_what_the_caller_said_of_itself_before_the_nearest_proxy_never_counts(said, subject):
    header = f"{said},{BY};{subject}URI=spiffe://a/caller"
    assert named_by_proxy(header) in {"spiffe://a/caller", None}


COMMON_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in ("billing", "second")])


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        (x509.Name([]), ["spiffe://duoscribe/billing", "billing.example"]),
        (COMMON_NAME, ["billing.example", "second.example"]),
        (COMMON_NAME, ["spiffe://duoscribe/billing", "spiffe://duoscribe/archive"]),
        (COMMON_NAME, ["https://duoscribe/billing"]),
        (COMMON_NAME, ["spiffe://duoscribe"]),
        (COMMON_NAME, ["spiffe://duoscribe/"]),
        (COMMON_NAME, ["spiffe:///billing"]),
        (COMMON_NAME, [f"spiffe://{'a' * 256}/billing"]),
        (COMMON_NAME, [f"spiffe://duoscribe/{'a' * 2048}"]),
        (COMMON_NAME, []),
        (x509.Name([]), ["spiffe://duoscribe/"]),
    ],
)
async def test_a_certificate_names_whom_grpc_would_name(subject, names):
    authority = Authority()
    peer = authority.named(subject, names)
    seen = await auth_context_at_a_server(authority, peer)
    certificate = x509.load_pem_x509_certificate(peer.certificate)
    ours = auth_context_of(certificate.public_bytes(Encoding.DER))
    assert has_certificate(seen)
    assert has_certificate(ours)
    assert named_by_peer(ours) == named_by_peer(seen)


async def auth_context_at_a_server(authority: Authority, peer: Identity) -> dict[str, list[bytes]]:
    """Of a connection that the peer makes."""
    seen: dict[str, list[bytes]] = {}

    async def note(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        seen.update({key: list(values) for key, values in context.auth_context().items()})
        return b""

    server = grpc.aio.server()
    handlers = {"Note": grpc.unary_unary_rpc_method_handler(note)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tests.Peer", handlers),))
    own = authority.identity("server")
    pair = [(own.key, own.certificate)]
    credentials = grpc.ssl_server_credentials(pair, authority.certificate, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", peer.credentials()) as channel:
            await channel.unary_unary("/tests.Peer/Note")(b"", timeout=10)
    finally:
        await server.stop(None)
    return seen
