import asyncio

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from serving import errors
from serving.status import WriteFailed, from_rpc_error, to_status

STAGE = status_pb2.Status(code=code_pb2.DATA_LOSS, message="the disk is full")

CODES = [
    (errors.InvalidRequest("x"), code_pb2.INVALID_ARGUMENT),
    (errors.InvalidConfig("x"), code_pb2.INVALID_ARGUMENT),
    (errors.InvalidAudio("x"), code_pb2.INVALID_ARGUMENT),
    (errors.ProtocolViolation("x"), code_pb2.INVALID_ARGUMENT),
    (errors.Unauthenticated("x"), code_pb2.UNAUTHENTICATED),
    (errors.PermissionDenied("x"), code_pb2.PERMISSION_DENIED),
    (errors.NotFound("x"), code_pb2.NOT_FOUND),
    (errors.NotOffered("x"), code_pb2.UNIMPLEMENTED),
    (errors.AlreadyRunning("x"), code_pb2.ALREADY_EXISTS),
    (errors.RecordingTooLong("x"), code_pb2.OUT_OF_RANGE),
    (errors.Overloaded("x", retry_after=1), code_pb2.RESOURCE_EXHAUSTED),
    (errors.Loading("x"), code_pb2.UNAVAILABLE),
    (errors.Draining("x"), code_pb2.UNAVAILABLE),
    (errors.IdleTooLong("x"), code_pb2.DEADLINE_EXCEEDED),
    (errors.Abandoned("x"), code_pb2.CANCELLED),
    (errors.ModelUnavailable("x"), code_pb2.FAILED_PRECONDITION),
    (asyncio.CancelledError(), code_pb2.CANCELLED),
    (WriteFailed("x"), code_pb2.CANCELLED),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_every_error_has_its_code(error, code):
    assert to_status(error).code == code


def test_every_class_of_the_tree_is_in_the_table():
    def leaves(kind):
        # Services add classes of their own below; those are their own affair.
        children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
        return {kind} if not children else set().union(*map(leaves, children))

    tested = {type(error) for error, _ in CODES} | {errors.StageFailed}
    assert leaves(errors.DuoscribeError) <= tested


def test_a_field_at_fault_is_named():
    status = to_status(errors.InvalidConfig("must be positive", field="config.speakers.exact"))

    assert status.message == "must be positive"
    bad_request = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(bad_request)
    assert [(v.field, v.description) for v in bad_request.field_violations] == [
        ("config.speakers.exact", "must be positive")
    ]


def test_bad_audio_names_its_field_by_itself():
    assert errors.InvalidAudio("no sound").field == "audio"


def test_overload_says_when_to_come_again():
    retry = error_details_pb2.RetryInfo()
    assert to_status(errors.Overloaded("full", retry_after=1.5)).details[0].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1500


def test_a_failed_stage_keeps_its_status():
    assert to_status(errors.StageFailed(STAGE)) == STAGE


def test_nothing_of_a_bug_is_told():
    assert to_status(KeyError("/secret/path")) == status_pb2.Status(
        code=code_pb2.INTERNAL, message="internal error"
    )


def test_of_a_group_the_error_made_for_callers_is_told():
    inner = ExceptionGroup("inner", [KeyError("bug"), errors.RecordingTooLong("over 4 h")])

    assert to_status(ExceptionGroup("outer", [ValueError("bug"), inner])).message == "over 4 h"
    assert to_status(ExceptionGroup("outer", [ValueError("bug")])).code == code_pb2.INTERNAL


def test_a_message_fits_into_the_trailers():
    status = to_status(errors.InvalidConfig("x" * 100_000, field="config.language"))

    assert status.ByteSize() < 4096


def rpc_error(code, details, trailers=()):
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details=details)


def test_reads_the_rich_status_of_a_failed_call():
    told = to_status(errors.InvalidConfig("no", field="config"))
    trailers = rpc_status.to_status(told).trailing_metadata

    assert from_rpc_error(rpc_error(grpc.StatusCode.INVALID_ARGUMENT, "no", trailers)) == told


def test_reads_a_plain_status():
    assert from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, "gone")) == status_pb2.Status(
        code=code_pb2.UNAVAILABLE, message="gone"
    )


def test_prefers_the_code_over_rich_details_that_contradict_it():
    trailers = rpc_status.to_status(STAGE).trailing_metadata

    assert from_rpc_error(rpc_error(grpc.StatusCode.ABORTED, "no", trailers)).code == code_pb2.ABORTED


def test_an_error_without_a_status_is_unknown():
    assert from_rpc_error(grpc.RpcError()).code == code_pb2.UNKNOWN
