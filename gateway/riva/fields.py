"""Fields of Riva's requests: which of them this server knows, and what callers know errors' fields as."""

from collections.abc import Iterator
from contextlib import contextmanager

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from google.rpc import error_details_pb2, status_pb2

from serving.errors import DuoscribeError, InvalidConfig, StageFailed

# Fields of speech.gateway.v1, and those of RecognitionConfig that they are filled from.
_OF_CONFIG = {
    "config.audio_format": "encoding",
    "config.audio_format.pcm.encoding": "encoding",
    "config.audio_format.pcm.sample_rate_hz": "sample_rate_hertz",
    "config.audio_format.pcm.channels": "audio_channel_count",
    "config.language": "language_code",
    "config.speakers.maximum": "diarization_config.max_speaker_count",
}


def check_known(message: Message, path: str = "") -> None:
    """Raises InvalidConfig for a field of a newer Riva, which has no name here and would be passed over."""
    unknown = UnknownFieldSet(message)
    if len(unknown):
        raise InvalidConfig(
            f"field {unknown[0].field_number} of {message.DESCRIPTOR.full_name} is not known here; leave it out",
            field=path or None,
        )
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None and not field.is_repeated and message.HasField(field.name):
            check_known(getattr(message, field.name), f"{path}.{field.name}".lstrip("."))


@contextmanager
def named_as_sent(*, config: str, audio: str) -> Iterator[None]:
    """Errors leave with the names of the caller's own fields; `config` and `audio` are where it sent these."""
    names = {ours: f"{config}.{theirs}" for ours, theirs in _OF_CONFIG.items()}
    names |= {"config.request_id": "id", "audio": audio}
    try:
        yield
    except StageFailed as failure:
        raise StageFailed(_renamed(failure.status, names)) from None
    except DuoscribeError as error:
        error.field = names.get(error.field or "", error.field)
        raise


def _renamed(status: status_pb2.Status, names: dict[str, str]) -> status_pb2.Status:
    return status_pb2.Status(
        code=status.code,
        message=status.message,
        details=[_renamed_detail(detail, names) for detail in status.details],
    )


def _renamed_detail(detail: Any, names: dict[str, str]) -> Any:
    request = error_details_pb2.BadRequest()
    if not detail.Unpack(request):
        return detail
    for violation in request.field_violations:
        violation.field = names.get(violation.field, violation.field)
    renamed = Any()
    renamed.Pack(request)
    return renamed
