"""What a caller is told of a backend's failure: what it means to them, and nothing of the inside."""

from google.protobuf.any_pb2 import Any
from google.rpc import code_pb2, error_details_pb2, status_pb2

# The fields of the caller's config that are handed on to a backend as they are, under the same names.
_HANDED_ON = ("config.language", "config.speakers")

_MESSAGES: dict[int, tuple[code_pb2.Code, str]] = {
    code_pb2.UNAVAILABLE: (code_pb2.UNAVAILABLE, "no healthy backend for {} can be reached; try again later"),
    code_pb2.ABORTED: (code_pb2.UNAVAILABLE, "{} was interrupted; try again"),
    code_pb2.CANCELLED: (code_pb2.UNAVAILABLE, "{} was interrupted; try again"),
    code_pb2.RESOURCE_EXHAUSTED: (code_pb2.RESOURCE_EXHAUSTED, "{} has no free place; try again later"),
    code_pb2.DEADLINE_EXCEEDED: (code_pb2.DEADLINE_EXCEEDED, "{} was not done before the deadline"),
    code_pb2.OUT_OF_RANGE: (code_pb2.OUT_OF_RANGE, "the recording is longer than {} takes"),
    code_pb2.FAILED_PRECONDITION: (
        code_pb2.FAILED_PRECONDITION,
        "{} is not set up; its operator must see to its models",
    ),
}
_BUG = (code_pb2.INTERNAL, "{} failed by an internal error")


def public_status(stage: str, status: status_pb2.Status) -> status_pb2.Status:
    """The status for the caller in place of what a backend, or the way to it, said."""
    if status.code == code_pb2.INVALID_ARGUMENT and (violation := _callers_violation(status)):
        details = [_packed(error_details_pb2.BadRequest(field_violations=[violation]))]
        return status_pb2.Status(code=status.code, message=violation.description, details=details)
    code, message = _MESSAGES.get(status.code, _BUG)
    return status_pb2.Status(code=code, message=message.format(stage), details=_retry_info(status))


def _callers_violation(status: status_pb2.Status) -> error_details_pb2.BadRequest.FieldViolation | None:
    """The field of the caller's own config that the backend objects to, if it is one."""
    request = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(request):
            for violation in request.field_violations:
                if violation.field.startswith(_HANDED_ON):
                    return violation
    return None


def _retry_info(status: status_pb2.Status) -> list[Any]:
    return [detail for detail in status.details if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)]


def _packed(request: error_details_pb2.BadRequest) -> Any:
    packed = Any()
    packed.Pack(request)
    return packed
