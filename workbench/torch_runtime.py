"""PyTorch as a runtime: the network as it is, run eagerly on a GPU where there is one, or else on CPUs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from asr_service.engines.ort.failures import is_out_of_memory
from serving.cores import cores
from workbench.recipe import Arrays, Recipe
from workbench.runtimes import Kind, OutOfMemory, Precision, Tensors

_TYPES: Mapping[Precision, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16}
# The words of PyTorch's allocator for CPUs.
_HOST_HAS_NONE = "can't allocate memory"


class TorchRuntime:
    """A network of PyTorch's. Two of different precision do not run at the same time: TF32 is a setting of the process."""

    def __init__(
        self, recipe: Recipe, precision: Precision, device: str | None = None, *, threads: int | None = None
    ) -> None:
        """On a CUDA device where there is one, unless `device` says where, and on all cores, unless `threads` says how many.

        Raises OutOfMemory.
        """
        self.kind = Kind("pytorch", precision)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._inputs, self._outputs = list(recipe.inputs), list(recipe.outputs)
        torch.set_num_threads(threads or cores())
        # As with TensorRT, whatever kernel is fastest for a shape: the first run of it tries them.
        torch.backends.cudnn.benchmark = True
        with _saying_out_of_memory():
            self.network = recipe.module().eval().to(self.device, _TYPES.get(precision, torch.float32))
        self._type = floating_type(self.network)

    def place(self, inputs: Arrays) -> Tensors:
        with _saying_out_of_memory():
            return {name: self._placed(torch.tensor(inputs[name])) for name in self._inputs}

    def run(self, inputs: Tensors) -> Tensors:
        rounds = self.kind.precision != "fp32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = rounds
        with torch.inference_mode(), _saying_out_of_memory():
            outputs = self.network(*(inputs[name] for name in self._inputs))
        together = (outputs,) if isinstance(outputs, Tensor) else outputs
        return dict(zip(self._outputs, together, strict=True))

    def synchronise(self) -> None:
        if self.device.type == "cuda":
            # A kernel that fails is heard of here.
            with _saying_out_of_memory():
                torch.cuda.synchronize(self.device)

    def fetch(self, outputs: Tensors) -> dict[str, Any]:
        return {name: _single(value).cpu().numpy() for name, value in outputs.items()}

    def _placed(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self._type if tensor.is_floating_point() else tensor.dtype)


def floating_type(network: nn.Module) -> torch.dtype:
    """Of the floating-point numbers that a network takes: as its first buffer or parameter has them."""
    tensors = chain(network.buffers(), network.parameters())
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


@contextmanager
def _saying_out_of_memory() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        said = str(error)
        if not is_out_of_memory(said) and _HOST_HAS_NONE not in said:
            raise
        raise OutOfMemory(said.partition("\n")[0]) from error
