"""Headers of a request, on their way into the metadata of its call."""

import uuid

from starlette.datastructures import Headers

from serving.errors import InvalidRequest
from serving.logs import is_request_id

REQUEST_ID = "x-request-id"

# Who calls, and the trace that the call belongs to. All else is between the caller and this server.
_HANDED_ON = ("authorization", "x-forwarded-client-cert", "traceparent", "tracestate")


def request_id(headers: Headers) -> str:
    """The caller's, or a new one where it gives none that could stand in logs and metadata."""
    given = headers.get(REQUEST_ID, "")
    return given if given.isascii() and is_request_id(given) else uuid.uuid4().hex


def call_metadata(headers: Headers) -> list[tuple[str, str | bytes]]:
    """Raises InvalidRequest for what metadata cannot hold; the message does not repeat it."""
    handed_on = [(name, value) for name in _HANDED_ON for value in headers.getlist(name)]
    for name, value in handed_on:
        if not (value.isascii() and value.isprintable()):
            raise InvalidRequest(f"the header {name} must be printable ASCII")
    return list(handed_on)
