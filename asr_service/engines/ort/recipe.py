"""What a model's engines are to be on this machine: for each profile the options to build with, and the identity that follows."""

import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from asr_service.engines.onnx_header import read_header
from asr_service.engines.ort import refining
from asr_service.engines.ort.devices import Gpu, Installation
from asr_service.engines.ort.network import Network, Subject
from asr_service.engines.ort.order import ENCODER
from asr_service.engines.ort.profiles import Profile, defaults
from asr_service.engines.ort.providers import Request, placement, precompiled, tensorrt_options
from asr_service.engines.ort.record import Identity
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.settings import Settings
from asr_service.engines.ort.shapes import ShapeRanges, shape_ranges
from asr_service.engines.ort.weights import weight_bytes

_GIB = 1 << 30


@dataclass(frozen=True)
class Recipe:
    network: Subject
    profile: Profile
    identity: Identity
    request: Request

    @property
    def name(self) -> str:
        return f"{self.network.encoder.name} {self.profile}"

    @property
    def may_round(self) -> bool:
        """Whether weights may be stored as the engine computes, in 16 bits."""
        return self.request.precision != "fp32"

    @property
    def room(self) -> int:
        """Bytes of disk that a build may take: the encoder rewritten, the engine, and some for what lies around them."""
        return 2 * weight_bytes(self.network.encoder) + (64 << 20)

    def building(self, folder: Path) -> Placement:
        """For the session that builds, or that loads the whole encoder with what was built."""
        return placement(replace(self.request, folder=folder))

    def placement(self, folder: Path, graph: str) -> Placement:
        """For the session of a file that a build left in `folder`."""
        return self.building(folder) if graph == ENCODER else self.finished

    @property
    def finished(self) -> Placement:
        """For the session of a graph that holds nothing but the engine."""
        return precompiled(self.request)


def recipes(
    network: Network, settings: Settings, installation: Installation, gpu: Gpu, *, fingerprint: str
) -> Iterator[Recipe]:
    """One for each profile. `fingerprint` is that of the model's folder. Raises ModelUnavailable."""
    inputs = read_header(network.encoder).inputs
    for profile in settings.profiles or defaults(network.family):
        shapes = shape_ranges(inputs, network.layout, profile)
        request = tensorrt_request(settings, installation, gpu, shapes)
        yield identified(network, profile, request, installation, gpu, fingerprint=fingerprint)


def identified(
    subject: Subject,
    profile: Profile,
    request: Request,
    installation: Installation,
    gpu: Gpu,
    *,
    fingerprint: str,
) -> Recipe:
    """With everything that decides what the engine becomes."""
    identity = Identity(
        weights=fingerprint,
        encoder=subject.encoder.name,
        profile=str(profile),
        options=_deciding(request),
        refining=rules_revision(Path(refining.__file__).parent),
        gpu=gpu.name,
        compute_capability=".".join(map(str, gpu.compute_capability)),
        driver=gpu.driver,
        onnxruntime=installation.onnxruntime,
        tensorrt=installation.tensorrt,
    )
    return Recipe(subject, profile, identity, request)


def tensorrt_request(
    settings: Settings, installation: Installation, gpu: Gpu, shapes: ShapeRanges
) -> Request:
    return Request(
        provider="tensorrt",
        onnxruntime=installation.version,
        device_id=gpu.index,
        threads=settings.threads,
        precision=settings.precision,
        overrides=settings.options,
        shapes=shapes,
        # Attention over a large batch wants gigabytes at once; without them kernels are left out.
        workspace=max(1, gpu.total // 2 // _GIB) * _GIB,
    )


@cache
def rules_revision(folder: Path) -> str:
    """A hash of the code that rewrites encoders: nobody has to remember that engines of older rules are others."""
    sources = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(sources).hexdigest()[:12]


def build_command(model: str, settings: Settings) -> str:
    """What a user types to have the engines that these settings ask for."""
    words = ["duoscribe", "engines", "build", model]
    defaults_ = Settings()
    for profile in settings.profiles:
        words += ["--profile", str(profile)]
    if settings.precision != defaults_.precision:
        words += ["--engine-precision", settings.precision]
    if settings.device_id != defaults_.device_id:
        words += ["--device-id", str(settings.device_id)]
    for name, value in settings.options.items():
        words += ["--provider-option", f"{name}={value}"]
    return shlex.join(words)


def _deciding(request: Request) -> dict[str, str]:
    """Options that decide what an engine computes: not where it lies, nor the device's number."""
    options = {name: value for name, value in tensorrt_options(request).items() if name != "device_id"}
    return options | {name: value for name, value in request.overrides.items() if "." in name}
