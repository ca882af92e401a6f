"""Where errors become google.rpc.Status, and the other way round."""

import asyncio
from collections.abc import Iterator

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from serving import errors
from serving.times import duration

# A status travels in HTTP/2 trailers, twice, and peers take 8 KiB of metadata by default.
_MAX_MESSAGE_CHARS = 1_000

# What grpc.aio raises where a message finds no caller any more, before the handler is cancelled for it.
WriteFailed = grpc.aio.InternalError

_CODES: tuple[tuple[type[errors.DuoscribeError], code_pb2.Code], ...] = (
    (errors.InvalidRequest, code_pb2.INVALID_ARGUMENT),
    (errors.Unauthenticated, code_pb2.UNAUTHENTICATED),
    (errors.PermissionDenied, code_pb2.PERMISSION_DENIED),
    (errors.NotFound, code_pb2.NOT_FOUND),
    (errors.NotOffered, code_pb2.UNIMPLEMENTED),
    (errors.AlreadyRunning, code_pb2.ALREADY_EXISTS),
    (errors.RecordingTooLong, code_pb2.OUT_OF_RANGE),
    (errors.Overloaded, code_pb2.RESOURCE_EXHAUSTED),
    (errors.Unavailable, code_pb2.UNAVAILABLE),
    (errors.IdleTooLong, code_pb2.DEADLINE_EXCEEDED),
    (errors.Abandoned, code_pb2.CANCELLED),
    (errors.ModelUnavailable, code_pb2.FAILED_PRECONDITION),
)


def to_status(error: BaseException) -> status_pb2.Status:
    """The status that tells a caller of `error`, with rich details: BadRequest for a field at fault, RetryInfo for overload.

    Of an exception group, its most telling member counts. What is neither in the tree of `serving.errors` nor a
    cancellation, nor a caller gone, is a bug, and nothing of it is told.
    """
    error = most_telling(error)
    if isinstance(error, errors.StageFailed):
        return error.status
    if isinstance(error, errors.DuoscribeError):
        return status_pb2.Status(code=_code(error), message=_bounded(error.message), details=_details(error))
    if isinstance(error, (asyncio.CancelledError, WriteFailed)):
        return status_pb2.Status(code=code_pb2.CANCELLED, message="the call was cancelled")
    return status_pb2.Status(code=code_pb2.INTERNAL, message="internal error")


def from_rpc_error(error: grpc.RpcError) -> status_pb2.Status:
    """What a called service said, with its rich details if it sent any that agree with its code."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return status_pb2.Status(code=code_pb2.UNKNOWN, message="the call failed without a status")
    plain = status_pb2.Status(code=error.code().value[0], message=_bounded(error.details() or ""))
    try:
        rich: status_pb2.Status | None = rpc_status.from_call(error)
    except ValueError:
        return plain
    return rich or plain


def most_telling(error: BaseException) -> BaseException:
    """The error itself; of a group, the first member a caller may read, else the first member."""
    members = list(members_of(error))
    return next((member for member in members if isinstance(member, errors.DuoscribeError)), members[0])


def members_of(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, however deep; of anything else, just that."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for member in error.exceptions:
        yield from members_of(member)


def _code(error: errors.DuoscribeError) -> code_pb2.Code:
    return next((code for kind, code in _CODES if isinstance(error, kind)), code_pb2.UNKNOWN)


def _details(error: errors.DuoscribeError) -> list[Any]:
    details = []
    if error.field is not None:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=_bounded(error.message)
        )
        details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
    if isinstance(error, errors.Overloaded):
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=duration(error.retry_after))))
    return details


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed


def _bounded(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE_CHARS else message[: _MAX_MESSAGE_CHARS - 1] + "…"
