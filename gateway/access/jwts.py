"""Signed tokens of an issuer (JWT, RFC 7519), checked with the keys of a JWKS file (RFC 7517)."""

import json
from dataclasses import dataclass

import jwt

from gateway.access.files import WatchedFile
from serving.errors import Unauthenticated

# With a symmetric algorithm whoever can check a token could also make one, and a public key would pass for a secret.
_ALGORITHMS = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "EdDSA",
)

Keys = tuple[jwt.PyJWK, ...]

# What callers are told. Only who holds a token with a good signature can get more out of it than that it is not valid.
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "the token has expired; get a new one"),
    (jwt.ImmatureSignatureError, "the token is not valid yet"),
    (jwt.InvalidAudienceError, "the token is meant for another service"),
    (jwt.InvalidIssuerError, "the token's issuer is not one that counts here"),
    (jwt.MissingRequiredClaimError, "the token lacks a claim that is needed here"),
    (jwt.PyJWTError, "the token is not valid"),
)


def parse_keys(text: str) -> Keys:
    """The keys that may sign tokens; one without `alg` counts as RS256, or as its curve's algorithm. Raises ValueError."""
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("not a JSON Web Key Set, which is an object with the member keys")  # noqa: TRY004 - of the file's
    try:
        found = jwt.PyJWKSet.from_dict(document)
    except jwt.PyJWTError as error:
        raise ValueError("no key in it is of a kind that is known") from error
    keys = tuple(key for key in found if key.algorithm_name in _ALGORITHMS and key.public_key_use != "enc")
    if not keys:
        raise ValueError(f"no key in it is for signatures by one of {', '.join(_ALGORITHMS)}")
    return keys


@dataclass(frozen=True, kw_only=True)
class JwtVerifier:
    """Tokens must be signed with one of the keys, by `issuer`, for `audience`, and not have expired, give or take
    `leeway_seconds`; `claim` holds the caller's name.
    """

    keys: WatchedFile[Keys]
    issuer: str
    audience: str
    claim: str
    leeway_seconds: float

    def caller(self, token: str) -> str:
        """Raises Unauthenticated."""
        try:
            claims = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token)),
                algorithms=_ALGORITHMS,
                issuer=self.issuer,
                audience=self.audience,
                leeway=self.leeway_seconds,
                options={"require": ["exp", "iss", "aud", self.claim], "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            # Not chained: a traceback might show what the token says.
            raise Unauthenticated(_reason(error)) from None
        name = claims[self.claim]
        if not isinstance(name, str):
            raise Unauthenticated("the token's claim that names the caller is not text")
        return name

    def _key(self, header: dict[str, object]) -> jwt.PyJWK:
        """The key that the token names; where it names none, the only one for its algorithm."""
        kid, algorithm = header.get("kid"), header.get("alg")
        candidates = [
            key
            for key in self.keys.current()
            if key.algorithm_name == algorithm and kid in {None, key.key_id}
        ]
        if len(candidates) != 1:
            raise Unauthenticated("the token is not signed with a key that counts here")
        return candidates[0]


def _reason(error: jwt.PyJWTError) -> str:
    return next(reason for kind, reason in _REASONS if isinstance(error, kind))
