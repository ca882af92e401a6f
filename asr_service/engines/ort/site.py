"""Where a model is to run: what was chosen for it on this machine."""

from concurrent.futures import Executor
from dataclasses import dataclass, replace

from asr_service.engines.layout import ModelLayout
from asr_service.engines.ort.choice import Choice
from asr_service.engines.ort.devices import Installation
from asr_service.engines.ort.features import GraphFeatures, NumpyFeatures
from asr_service.engines.ort.profiles import Profile, Profiles, Range, defaults
from asr_service.engines.ort.providers import Request, always_rounds, placement
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.settings import Settings
from asr_service.engines.ort.stages import Features, GraphFrontEnd
from asr_service.engines.ort.watching import Watch, unwatched

# On CPUs a batch saves little more than reading the weights again, and a long one keeps others waiting.
_ON_CPU = Profiles((Profile(Range(1, 8, 16), Range(0.5, 10.0, 60.0)),))


@dataclass(frozen=True)
class Site:
    layout: ModelLayout
    choice: Choice
    settings: Settings
    installation: Installation
    pool: Executor
    """Where features are computed, or samples put together for a device that computes them."""
    watch: Watch = unwatched
    """Is told how long stages take."""

    @property
    def on_gpu(self) -> bool:
        return self.choice.provider != "cpu"

    @property
    def fixed_shapes(self) -> bool:
        """Whether utterances are padded to the few lengths that a GPU's engines are built for."""
        return self.on_gpu or self.settings.shapes_of_gpu

    @property
    def placement(self) -> Placement:
        """Of all sessions but TensorRT's own, and the features'. Raises ModelUnavailable."""
        return placement(self._request)

    @property
    def exact_placement(self) -> Placement:
        """Where products are not rounded to TF32, if ONNX Runtime can be told. Raises ModelUnavailable."""
        overrides = {name: value for name, value in self._request.overrides.items() if name != "use_tf32"}
        return placement(replace(self._request, precision="fp32", overrides=overrides))

    @property
    def _request(self) -> Request:
        return Request(
            provider="cuda" if self.on_gpu else "cpu",
            onnxruntime=self.installation.version,
            device_id=self.settings.device_id,
            threads=self.settings.threads,
            precision=self.settings.precision,
            overrides=self.settings.options,
        )

    def features(self, front_end: GraphFrontEnd, *, channels_first: bool) -> Features:
        """Computed where the encoder runs. Raises ModelUnavailable."""
        by = self.settings.features
        if by == "numpy" or (by == "auto" and not self.on_gpu):
            return NumpyFeatures(front_end, self.pool, channels_first)
        doubles = self.on_gpu and always_rounds(self.installation.version)
        return GraphFeatures(
            front_end, self.exact_placement, self.pool, channels_first=channels_first, doubles=doubles
        )

    @property
    def profiles(self) -> Profiles:
        """On CPUs they only bound batches and buckets."""
        return (
            Profiles(self.settings.profiles or defaults(self.layout.family)) if self.fixed_shapes else _ON_CPU
        )
