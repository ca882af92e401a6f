"""Riva's speech recognition on the gateway: nvidia.riva.asr, for clients that know no other server.

docs/riva.md says what becomes of each field. Whatever cannot be honoured is refused by its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config import GatewayConfig
from gateway.transcriber import Transcriber

if TYPE_CHECKING:
    from gateway.riva.servicer import RivaService


def riva_service(transcriber: Transcriber, config: GatewayConfig) -> RivaService | None:
    """None where the extra `riva`, which brings the messages, is not installed."""
    try:
        from gateway.riva.servicer import RivaService  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "riva":
            raise
        return None
    return RivaService(transcriber, config)
