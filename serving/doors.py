"""What services share that take recordings in one message, as other systems' clients send them."""

from dataclasses import dataclass

from google.protobuf.message import Message

from serving.config import ServerConfig, option
from serving.errors import InvalidRequest


@dataclass(frozen=True, kw_only=True)
class DoorConfig(ServerConfig):
    """What a service can be told some of whose calls bring a whole recording in one message."""

    max_recording_message_bytes: int = option(
        32 * 1024 * 1024,
        "Largest recording taken in one message, by the calls of other systems' clients that know no stream for it, in bytes: "
        "32 MiB are 8 minutes of 32-bit or 17 of 16-bit samples. A message is in memory before there is a place for it.",
        min=1024,
        max=2**31 - 1,
    )


def check_recording_message(message: Message, config: DoorConfig) -> None:
    """Raises InvalidRequest for a message above the limit."""
    check_recording_bytes(message.ByteSize(), config)


def check_recording_bytes(size: int, config: DoorConfig, *, field: str | None = None) -> None:
    """The same for the bytes of `field` alone, whose number is known: a message of many megabytes takes long to be measured."""
    if size > config.max_recording_message_bytes:
        raise InvalidRequest(
            f"the recording's message holds {size:,} bytes and the limit is {config.max_recording_message_bytes:,}; "
            "send shorter recordings, or this one as a stream",
            field=field,
        )
