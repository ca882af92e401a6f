"""Calls of the protocol that are not served, and what to do in their place."""

from collections.abc import Awaitable, Callable
from typing import Any, Never, TypeAlias

from tritonclient.grpc import service_pb2_grpc

from serving.errors import NotOffered

_Handler: TypeAlias = Callable[[Any, Any, Any], Awaitable[Never]]


def _refused(reason: str) -> _Handler:
    async def refuse(self: object, request: object, context: object) -> Never:  # noqa: ARG001 - a handler's signature
        raise NotOffered(reason)

    return refuse


_loading = _refused(
    "the model is chosen when the service is started (--model); it is not loaded or unloaded by calls"
)
_shared_memory = _refused("there is no memory shared with callers; send tensors in the messages themselves")
_settings = _refused("traces and logs are set when the service is started (--traces-endpoint, --log-level)")


class Refusals(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # its package has no types
    """The rest is for subclasses."""

    RepositoryModelLoad = RepositoryModelUnload = _loading
    SystemSharedMemoryStatus = SystemSharedMemoryRegister = SystemSharedMemoryUnregister = _shared_memory
    CudaSharedMemoryStatus = CudaSharedMemoryRegister = CudaSharedMemoryUnregister = _shared_memory
    TraceSetting = LogSettings = _settings
