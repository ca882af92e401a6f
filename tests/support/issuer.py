"""Whoever signs tokens for callers: real keys, made for one test."""

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ISSUER, AUDIENCE = "https://issuer.example", "duoscribe"

_MAKERS = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class Issuer:
    """Has one key, of which it tells the public half."""

    def __init__(self, kid: str = "first", algorithm: str = "ES256") -> None:
        self.kid = kid
        self.algorithm = algorithm
        self._key = _MAKERS[algorithm]()

    @property
    def public_pem(self) -> bytes:
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def jwk(self, **changes: Any) -> dict[str, Any]:
        key = get_default_algorithms()[self.algorithm].to_jwk(self._key.public_key(), as_dict=True)
        return {**key, "kid": self.kid, "alg": self.algorithm, "use": "sig", **changes}

    def token(self, caller: str = "billing", *, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """`changes` are claims; one that is None is left out."""
        headers = {"kid": self.kid} if headers is None else headers
        return jwt.encode(claims(caller, **changes), self._key, self.algorithm, headers=headers)


def claims(caller: str = "billing", **changes: Any) -> dict[str, Any]:
    all_of_them = {"sub": caller, "iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 600, **changes}
    return {name: value for name, value in all_of_them.items() if value is not None}


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": list(keys)})
