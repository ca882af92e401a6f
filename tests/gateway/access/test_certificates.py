"""Whom certificates name, as gRPC and Envoy tell of them."""

import pytest

from gateway.access.certificates import has_certificate, named_by_peer, named_by_proxy

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
