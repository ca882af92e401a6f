"""What a failed call means to the person at the command line: one line that says what, and who must act."""

import grpc

from gateway.client import NotConnected, TranscriptionError

_WHO_ACTS = {
    grpc.StatusCode.INVALID_ARGUMENT: "Change the recording or the options.",
    grpc.StatusCode.UNAUTHENTICATED: "Give a certificate or a token that the gateway's operator made for you.",
    grpc.StatusCode.PERMISSION_DENIED: "Ask the gateway's operator to let you in.",
    grpc.StatusCode.OUT_OF_RANGE: "Shorten the recording, or ask the gateway's operator for a higher limit.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "Try again{later}.",
    grpc.StatusCode.UNAVAILABLE: "If it stays so, the gateway's operator must act.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "Send the recording without long pauses.",
    grpc.StatusCode.FAILED_PRECONDITION: "The gateway's operator must act.",
    grpc.StatusCode.UNIMPLEMENTED: "Check the address: whatever answers there is no Duoscribe gateway.",
    grpc.StatusCode.INTERNAL: "This is a fault of the service: report it with the request id {request}.",
    grpc.StatusCode.UNKNOWN: "This is a fault of the service: report it with the request id {request}.",
}


def explain(error: TranscriptionError, *, request_id: str) -> str:
    """The gateway's message, the field it names, and what to do about it."""
    if isinstance(error, NotConnected):
        return f"{error.message}."
    field = f" ({error.field})" if error.field and error.field not in error.message else ""
    message = " ".join(error.message.split()).rstrip(".") or error.code.name.lower().replace("_", " ")
    later = "" if error.retry_after is None else f" in {error.retry_after:g} s"
    advice = _WHO_ACTS.get(error.code, "").format(later=later, request=request_id)
    return f"{message}{field}. {advice}".rstrip()
