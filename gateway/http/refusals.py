"""Statuses as OpenAI's clients read them: an HTTP code, and {"error": {"message", "type", "param", "code"}}."""

import math
from dataclasses import dataclass
from typing import Any

from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import aio
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from gateway.retries import asked_wait
from serving.status import from_rpc_error, to_status

_INVALID, _SERVER, _LIMIT = "invalid_request_error", "server_error", "rate_limit_error"


@dataclass(frozen=True, slots=True)
class _Kind:
    """`code` is None where OpenAI's errors have none."""

    http: int
    type: str
    code: str | None = None


_KINDS = {
    code_pb2.INVALID_ARGUMENT: _Kind(400, _INVALID),
    code_pb2.UNAUTHENTICATED: _Kind(401, _INVALID, "invalid_api_key"),
    code_pb2.PERMISSION_DENIED: _Kind(403, _INVALID, "permission_denied"),
    code_pb2.DEADLINE_EXCEEDED: _Kind(408, _INVALID, "timeout"),
    code_pb2.OUT_OF_RANGE: _Kind(413, _INVALID, "too_large"),
    code_pb2.RESOURCE_EXHAUSTED: _Kind(429, _LIMIT, "rate_limit_exceeded"),
    code_pb2.UNAVAILABLE: _Kind(503, _SERVER, "unavailable"),
    # Nobody here cancels a call whose caller still waits: the server has no time for it.
    code_pb2.CANCELLED: _Kind(503, _SERVER, "unavailable"),
}
_BUG = _Kind(500, _SERVER)

# The contract's fields that callers over HTTP know by another name.
_CONFIG, _FILE = "config.", {"audio": "file", "end_of_audio": "file"}


def status_of(error: Exception) -> status_pb2.Status:
    """What the gateway said, or the status of an error that happened here."""
    return from_rpc_error(error) if isinstance(error, aio.AioRpcError) else to_status(error)


def refusal(status: status_pb2.Status) -> JSONResponse:
    kind = _KINDS.get(status.code, _BUG)
    return JSONResponse(error_body(status), kind.http, headers=_headers(kind, asked_wait(status)))


def error_body(status: status_pb2.Status) -> dict[str, Any]:
    kind = _KINDS.get(status.code, _BUG)
    return _body(status.message, kind.type, _param(status), kind.code)


def not_found(error: HTTPException, message: str) -> JSONResponse:
    """For a path that there is not, or a method that a path does not have."""
    return JSONResponse(_body(message, _INVALID, None, None), error.status_code, headers=error.headers)


def _body(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _headers(kind: _Kind, wait: float) -> dict[str, str]:
    """`wait` in seconds, 0 where it is not known."""
    headers = {"WWW-Authenticate": "Bearer"} if kind.http == 401 else {}
    if wait:
        headers |= {"Retry-After": str(math.ceil(wait)), "Retry-After-Ms": str(math.ceil(1000 * wait))}
    return headers


def _param(status: status_pb2.Status) -> str | None:
    request = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(request) and request.field_violations:
            field: str = request.field_violations[0].field.removeprefix(_CONFIG)
            return _FILE.get(field, field)
    return None
