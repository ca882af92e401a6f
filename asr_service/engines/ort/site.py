"""Where a model is to run: what was chosen for it on this machine."""

from concurrent.futures import Executor
from dataclasses import dataclass

from asr_service.engines.layout import ModelLayout
from asr_service.engines.ort.choice import Choice
from asr_service.engines.ort.devices import Installation
from asr_service.engines.ort.profiles import Profile, Profiles, Range, defaults
from asr_service.engines.ort.providers import Request, placement
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.settings import Settings
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
    """Where features are computed."""
    watch: Watch = unwatched
    """Is told how long stages take."""

    @property
    def on_gpu(self) -> bool:
        return self.choice.provider != "cpu"

    @property
    def placement(self) -> Placement:
        """Of all sessions but TensorRT's own. Raises ModelUnavailable."""
        return placement(
            Request(
                provider="cuda" if self.on_gpu else "cpu",
                onnxruntime=self.installation.version,
                device_id=self.settings.device_id,
                threads=self.settings.threads,
                precision=self.settings.precision,
                overrides=self.settings.options,
            )
        )

    @property
    def profiles(self) -> Profiles:
        """On CPUs they only bound batches and buckets."""
        return Profiles(self.settings.profiles or defaults(self.layout.family)) if self.on_gpu else _ON_CPU
