"""Signed tokens: which of them name a caller, and what is said of the others."""

import time

import jwt
import pytest

from gateway.access.files import FileError, WatchedFile
from gateway.access.jwts import JwtVerifier, parse_keys
from serving.errors import Unauthenticated
from support.calling import replace
from support.issuer import AUDIENCE, ISSUER, Issuer, claims, jwks


@pytest.fixture
def issuer():
    return Issuer()


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "jwks.json"


def verifier(path, *published, claim="sub", leeway=30.0):
    path.write_text(jwks(*published))
    return JwtVerifier(
        keys=WatchedFile(path, parse_keys),
        issuer=ISSUER,
        audience=AUDIENCE,
        claim=claim,
        leeway_seconds=leeway,
    )


def refusal(tokens, token):
    with pytest.raises(Unauthenticated) as caught:
        tokens.caller(token)
    return caught.value.message


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_signed_token_names_the_caller(keys, algorithm):
    issuer = Issuer(algorithm=algorithm)
    assert verifier(keys, issuer.jwk()).caller(issuer.token("billing")) == "billing"


def test_another_claim_may_name_the_caller(keys, issuer):
    tokens = verifier(keys, issuer.jwk(), claim="client_id")
    assert tokens.caller(issuer.token("a person", client_id="billing")) == "billing"
    assert "lacks a claim" in refusal(tokens, issuer.token())
    assert "not text" in refusal(tokens, issuer.token(client_id=["billing"]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exp": time.time() - 3600}, "has expired"),
        ({"nbf": time.time() + 3600}, "not valid yet"),
        ({"aud": "another"}, "another service"),
        ({"iss": "https://another.example"}, "issuer"),
        ({"exp": None}, "lacks a claim"),
        ({"aud": None}, "lacks a claim"),
        ({"iss": None}, "lacks a claim"),
        ({"sub": None}, "lacks a claim"),
    ],
)
def test_a_token_for_another_time_or_place_is_told_why(keys, issuer, changes, said):
    token = issuer.token(**changes)
    message = refusal(verifier(keys, issuer.jwk()), token)
    assert said in message
    assert not any(part in message for part in token.split("."))


def test_clocks_may_differ_by_the_leeway(keys, issuer):
    token = issuer.token(exp=time.time() - 20)
    assert verifier(keys, issuer.jwk(), leeway=30.0).caller(token) == "billing"
    assert "has expired" in refusal(verifier(keys, issuer.jwk(), leeway=10.0), token)


def test_a_token_that_nobody_signed_does_not_count(keys, issuer):
    tokens = verifier(keys, issuer.jwk())
    for headers in ({}, {"kid": issuer.kid}):
        unsigned = jwt.encode(claims(), None, "none", headers=headers)
        assert "not signed with a key" in refusal(tokens, unsigned)


def test_a_public_key_does_not_pass_for_a_secret(keys, monkeypatch):
    issuer = Issuer(algorithm="RS256")
    # PyJWT will not sign with it; whoever attacks does not ask PyJWT.
    monkeypatch.setattr("jwt.algorithms.is_pem_format", lambda _: False)
    forged = jwt.encode(claims(), issuer.public_pem, "HS256", headers={"kid": issuer.kid})
    monkeypatch.undo()
    assert "not signed with a key" in refusal(verifier(keys, issuer.jwk()), forged)
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.decode(forged, jwt.PyJWK(issuer.jwk()), algorithms=["RS256"], audience=AUDIENCE)


def test_another_key_of_the_same_name_does_not_count(keys, issuer):
    assert refusal(verifier(keys, issuer.jwk()), Issuer().token()) == "the token is not valid"


def test_without_a_key_id_the_only_key_for_the_algorithm_counts(keys, issuer):
    other = Issuer("second", "RS256")
    unnamed = issuer.token(headers={})
    assert verifier(keys, issuer.jwk(), other.jwk()).caller(unnamed) == "billing"
    assert "not signed with a key" in refusal(verifier(keys, issuer.jwk(), Issuer("third").jwk()), unnamed)


@pytest.mark.parametrize("garbage", ["", "a.b.c", "...", "duoscribe_abc", "é.é.é", "x" * 8000])
def test_what_is_no_token_at_all_is_not_valid(keys, issuer, garbage):
    assert refusal(verifier(keys, issuer.jwk()), garbage) == "the token is not valid"


def test_keys_are_changed_without_a_restart(keys, issuer):
    tokens, successor = verifier(keys, issuer.jwk()), Issuer("second")
    assert "not signed with a key" in refusal(tokens, successor.token())
    replace(keys, jwks(issuer.jwk(), successor.jwk()))
    assert tokens.caller(issuer.token()) == tokens.caller(successor.token()) == "billing"
    replace(keys, jwks(successor.jwk()))
    assert "not signed with a key" in refusal(tokens, issuer.token())


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "not json",
        '{"keys": {}}',
        jwks({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256"}),
        jwks(Issuer().jwk(use="enc")),
    ],
)
def test_a_file_without_a_key_that_could_count_is_refused(tmp_path, text):
    path = tmp_path / "jwks.json"
    path.write_text(text)
    with pytest.raises(FileError, match=r"jwks\.json") as caught:
        WatchedFile(path, parse_keys)
    assert "c2VjcmV0" not in str(caught.value)
