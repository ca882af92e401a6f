"""The errors a caller can meet, and the status code each of them leaves the service with.

    DuoscribeError
    ├── InvalidRequest            INVALID_ARGUMENT
    │   ├── InvalidConfig
    │   ├── InvalidAudio
    │   └── ProtocolViolation
    ├── Unauthenticated           UNAUTHENTICATED
    ├── PermissionDenied          PERMISSION_DENIED
    ├── NotFound                  NOT_FOUND
    ├── NotOffered                UNIMPLEMENTED
    ├── AlreadyRunning            ALREADY_EXISTS
    ├── RecordingTooLong          OUT_OF_RANGE
    ├── Overloaded                RESOURCE_EXHAUSTED, with when to try again
    ├── Unavailable               UNAVAILABLE
    │   ├── Loading
    │   └── Draining
    ├── IdleTooLong               DEADLINE_EXCEEDED
    ├── Abandoned                 CANCELLED
    ├── ModelUnavailable          FAILED_PRECONDITION
    └── StageFailed               the backend's own status

Their messages are sent to callers: they say what is wrong and who must do what, and nothing of the inside. Anything
that is not in this tree is a bug and leaves as INTERNAL. `serving.status` holds the mapping.
"""

# ruff: noqa: N818 - they are named after what happened, in the words of the contract

from google.rpc import status_pb2


class DuoscribeError(Exception):
    """An error that a caller may read.

    `field` is the path of the request's field that is at fault ("config.request_id"), if one is.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidRequest(DuoscribeError):
    """The caller must change the request; sending it again is no use."""


class InvalidConfig(InvalidRequest):
    """A field of the config is missing, contradicts another, or holds what the service cannot do."""


class InvalidAudio(InvalidRequest):
    """The bytes cannot be decoded, or hold no sound."""

    def __init__(self, message: str, *, field: str | None = "audio") -> None:
        super().__init__(message, field=field)


class ProtocolViolation(InvalidRequest):
    """Messages came in an order that the contract does not allow."""


class Unauthenticated(DuoscribeError):
    """The call does not say who makes it, or not in a way that counts. The message never repeats what it did say."""


class PermissionDenied(DuoscribeError):
    """It is known who calls, and that caller may not."""


class NotFound(DuoscribeError):
    """What the request names is not here."""


class NotOffered(DuoscribeError):
    """The call belongs to a protocol that the service speaks, and is one of those that it does not serve."""


class AlreadyRunning(DuoscribeError):
    """The caller's recording of this request id is still worked on, in another call."""


class RecordingTooLong(DuoscribeError):
    """The recording passed the service's length limit while it was read."""


class Overloaded(DuoscribeError):
    """Every place is taken; `retry_after` is the number of seconds after which another try makes sense."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(DuoscribeError):
    """Nothing is wrong with the request: another replica, or this one later, can serve it."""


class Loading(Unavailable):
    """The models are not loaded yet."""


class Draining(Unavailable):
    """The service is shutting down."""


class IdleTooLong(DuoscribeError):
    """The service waited for the caller's next message for longer than it will."""


class Abandoned(DuoscribeError):
    """The call was cancelled, or the caller went away, before the upload was complete."""


class ModelUnavailable(DuoscribeError):
    """A model's weights are missing or broken; the message names the command that repairs it."""


class StageFailed(DuoscribeError):
    """A backend's call failed for good; `status` is what it said."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status
