"""What the gateway can be told about its callers."""

from dataclasses import dataclass
from pathlib import Path

from serving.config import ServerConfig, option


@dataclass(frozen=True, kw_only=True)
class AccessConfig(ServerConfig):
    """Files are read again when they change. Raises ValueError where signed tokens could not be checked."""

    tokens_file: Path | None = option(  # noqa: RUF009 - describes the field
        None,
        "Hashes of the tokens that callers may have, NAME: HASH a line; `duoscribe tokens new` makes both. Given this or "
        "--jwks-file, who has neither a token nor a client certificate is refused.",
    )
    jwks_file: Path | None = option(  # noqa: RUF009 - describes the field
        None,
        "Keys (a JSON Web Key Set) whose owner signs tokens (JWT) for callers; asymmetric ones count only.",
    )
    jwt_issuer: str | None = option(None, "Who must have issued signed tokens (iss).")
    jwt_audience: str | None = option(None, "Whom signed tokens must be for (aud).")
    jwt_caller_claim: str = option("sub", "The claim of signed tokens that names the caller.")
    jwt_leeway_seconds: float = option(
        30.0, "How far the issuer's clock may differ from this one, in seconds.", min=0, max=300
    )
    trust_client_certificate_header: bool = option(
        False,
        "Take the caller's name from x-forwarded-client-cert, as the nearest proxy wrote it. Only where nobody but that "
        "proxy can reach --address, and it lets nobody else write that header.",
    )
    callers_file: Path | None = option(  # noqa: RUF009 - describes the field
        None, "Who may call and how much at once, by name, in TOML; without it nobody is limited."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.jwks_file is not None and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError(
                "--jwks-file needs --jwt-issuer and --jwt-audience: else any token of anybody's would count"
            )
