"""Options of ONNX Runtime's execution providers: one pure function from what is wanted to a session's placement.

Names and their first versions are those that the provider libraries of the released wheels read (1.17.1 to 1.31.1);
an unknown one would end the session's creation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.settings import EXECUTION_PROVIDERS, EnginePrecision, Provider
from asr_service.engines.ort.shapes import ShapeRanges, Sizes
from serving.errors import ModelUnavailable

Version = tuple[int, ...]
Options = Mapping[str, str]

CPU, CUDA, TENSORRT = (EXECUTION_PROVIDERS[name] for name in ("cpu", "cuda", "tensorrt"))

_SINCE: Mapping[str, Version] = {"use_tf32": (1, 18), "trt_bf16_enable": (1, 23)}
# Options that another setting is there for: two sources of one truth would contradict each other.
_SET_ELSEWHERE = {
    "device_id": "--device-id",
    "trt_fp16_enable": "--engine-precision",
    "trt_bf16_enable": "--engine-precision",
    "trt_profile_min_shapes": "--profile",
    "trt_profile_opt_shapes": "--profile",
    "trt_profile_max_shapes": "--profile",
    "trt_engine_cache_enable": "DUOSCRIBE_CACHE",
    "trt_engine_cache_path": "DUOSCRIBE_CACHE",
    "trt_engine_cache_prefix": "DUOSCRIBE_CACHE",
}
_GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a session is wanted for. The last three are TensorRT's."""

    provider: Provider
    onnxruntime: Version
    device_id: int = 0
    threads: int = 1
    precision: EnginePrecision = "fp16"
    overrides: Options = field(default_factory=dict)
    """By option name: TensorRT's begin with trt_, those of a session have dots, the others are CUDA's."""
    shapes: ShapeRanges | None = None
    folder: Path | None = None
    """Where engines are kept."""
    workspace: int = 4 * _GIB
    """Bytes of scratch memory that TensorRT may choose kernels by."""


def placement(request: Request) -> Placement:
    """Raises ModelUnavailable where an option contradicts another setting, or this ONNX Runtime cannot do it."""
    for name in request.overrides:
        if name in _SET_ELSEWHERE:
            raise ModelUnavailable(
                f"{name} is no option to set by itself: use {_SET_ELSEWHERE[name]} instead"
            )
    match request.provider:
        case "cpu":
            return _placed(request, "cpu", (CPU, {}))
        case "cuda":
            return _placed(request, "cuda", (CUDA, cuda_options(request)))
        case "tensorrt":
            # What TensorRT leaves goes to CUDA, not to the CPU; the build reports it.
            placed = _placed(
                request, "cuda", (TENSORRT, tensorrt_options(request)), (CUDA, cuda_options(request))
            )
            # Weights kept in 16 bits, so that the graph fits into one message, would be cast back beforehand.
            return replace(placed, without=("ConstantFolding",))


def precompiled(request: Request) -> Placement:
    """For a graph that holds nothing but a finished engine: TensorRT alone, or no session."""
    only_device = {"device_id": str(request.device_id)}
    placed = _placed(request, "cuda", (TENSORRT, only_device))
    return Placement(
        placed.providers,
        placed.device,
        placed.device_id,
        placed.threads,
        {**placed.config, "session.disable_cpu_ep_fallback": "1"},
    )


def tensorrt_options(request: Request) -> Options:
    """Every option that decides what an engine becomes, and where it is kept."""
    if request.precision == "bf16" and not _known("trt_bf16_enable", request.onnxruntime):
        raise ModelUnavailable(
            f"bf16 engines need ONNX Runtime {_text(_SINCE['trt_bf16_enable'])} or newer, and {_text(request.onnxruntime)} "
            "is installed; choose --engine-precision fp16, or install a newer onnxruntime-gpu"
        )
    options = {
        "device_id": str(request.device_id),
        "trt_fp16_enable": _flag(wanted=request.precision == "fp16"),
        "trt_bf16_enable": _flag(wanted=request.precision == "bf16"),
        # Squares of activations overflow in fp16, and lose too much in bf16.
        "trt_layer_norm_fp32_fallback": _flag(wanted=request.precision != "fp32"),
        "trt_max_workspace_size": str(request.workspace),
        # TensorRT's own defaults, stated because they are worth trying: 5 searches longest; 0 streams save memory.
        "trt_builder_optimization_level": "3",
        "trt_auxiliary_streams": "-1",
        # It is for several engines in one session; one whole graph gains nothing.
        "trt_context_memory_sharing_enable": _flag(wanted=False),
        **_cache_options(request.folder),
        **_profile_options(request.shapes),
    }
    overrides = {name: value for name, value in request.overrides.items() if name.startswith("trt_")}
    return _supported({**options, **overrides}, request)


def cuda_options(request: Request) -> Options:
    options = {
        "device_id": str(request.device_id),
        # The arena never shrinks: it must not double either.
        "arena_extend_strategy": "kSameAsRequested",
        # Trying out every algorithm for every new shape costs seconds inside requests.
        "cudnn_conv_algo_search": "HEURISTIC",
        "do_copy_in_default_stream": _flag(wanted=True),
        "use_tf32": _flag(wanted=request.precision != "fp32"),
    }
    overrides = {
        name: value
        for name, value in request.overrides.items()
        if not name.startswith("trt_") and "." not in name
    }
    return _supported({**options, **overrides}, request)


def always_rounds(version: Version) -> bool:
    """Whether products in single precision are rounded to TF32 on CUDA, and no option keeps that ONNX Runtime from it.

    Only the environment variable NVIDIA_TF32_OVERRIDE=0 does, for all of the process. Double precision is never rounded.
    """
    return not _known("use_tf32", version)


def _placed(request: Request, device: str, *providers: tuple[str, Options]) -> Placement:
    config = {
        # Sessions share the cores: a thread that waits must not burn one.
        "session.intra_op.allow_spinning": "0",
        **{name: value for name, value in request.overrides.items() if "." in name},
    }
    return Placement(providers, device, request.device_id, request.threads, config)


def _cache_options(folder: Path | None) -> Options:
    if folder is None:
        return {}
    return {
        "trt_engine_cache_enable": _flag(wanted=True),
        "trt_engine_cache_path": str(folder),
        "trt_engine_cache_prefix": "encoder",
        "trt_timing_cache_enable": _flag(wanted=True),
        "trt_timing_cache_path": str(folder),
    }


def _profile_options(shapes: ShapeRanges | None) -> Options:
    if shapes is None:
        return {}
    return {
        "trt_profile_min_shapes": _shapes(shapes.min),
        "trt_profile_opt_shapes": _shapes(shapes.opt),
        "trt_profile_max_shapes": _shapes(shapes.max),
    }


def _shapes(sizes: Sizes) -> str:
    return ",".join(f"{name}:{'x'.join(str(size) for size in shape)}" for name, shape in sizes.items())


def _supported(options: Options, request: Request) -> Options:
    return {name: value for name, value in options.items() if _known(name, request.onnxruntime)}


def _known(name: str, version: Version) -> bool:
    return version >= _SINCE.get(name, (0,))


def _flag(*, wanted: bool) -> str:
    """As all versions read it; 1.17 refuses TensorRT's in digits."""
    return "True" if wanted else "False"


def _text(version: Version) -> str:
    return ".".join(str(part) for part in version)
