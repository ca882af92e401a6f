"""pyannote.audio's speaker diarization on local weights. Runs in a worker process, where torch may be imported.

Segmentation of overlapping 10 s windows, an embedding for each speaker of each window, agglomerative clustering with the
parameters of `pyannote/speaker-diarization-3.1`. Reference: Bredin, "pyannote.audio 2.1 speaker diarization pipeline:
principle, benchmark, and recipe", Interspeech 2023; Plaquet and Bredin, "Powerset multi-class cross entropy loss for
neural speaker diarization", Interspeech 2023.

pyannote.audio switches TensorFloat-32 off for the whole process whenever it meets a GPU, which is one more reason for a
process of its own.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

import diarization_service.torch_compat  # noqa: F401  makes the next imports work
from diarization_service.config import WorkerConfig
from diarization_service.devices import device_named, failures_named, provider
from diarization_service.networks import load_network
from diarization_service.shared_trunk import SharedTrunkDiarization
from diarization_service.turns import Diarization, Track, diarization
from serving import logs
from serving.cores import cores
from serving.speakers import SpeakerBounds
from serving.times import SAMPLE_RATE, duration
from speech.audio.v1.audio_pb2 import ModelInfo
from speech.diarization.v1.diarization_pb2 import DescribeDiarizationResponse

# isort: split
import pyannote.audio
from pyannote.audio.core.plda import PLDA
from pyannote.audio.pipelines import SpeakerDiarization
from pyannote.core import Annotation

ENGINE = f"pyannote.audio {pyannote.audio.__version__}"

PARAMETERS = {
    "segmentation": {"min_duration_off": 0.0},
    "clustering": {"method": "centroid", "min_cluster_size": 12, "threshold": 0.7045654963945799},
}

_log = logs.get_logger(__name__)

# Called with a step's name and how many of its parts are done (None, None: all). Raising ends the run.
Hook = Callable[[str, int | None, int | None], None]

PipelineT = TypeVar("PipelineT", bound=SpeakerDiarization)


class _NoPlda(PLDA):
    """Fills the place of the model that only the other clustering, VBx, scores with.

    Given a name or nothing, the pipeline would fetch one from the hub, whatever its clustering.
    """

    def __init__(self) -> None:
        pass


@dataclass(frozen=True)
class _BatchSizes:
    segmentation: int
    embedding: int

    @classmethod
    def of(cls, config: WorkerConfig, device: torch.device) -> "_BatchSizes":
        """As configured, else as measured on an H200 and on two CPU cores.

        More than 32 windows at once take the GPU's embedding network longer. A CPU embeds windows fastest one by one (30 s of
        speech: 3.3 s, against 4.4 s in fours and 5.5 s in sixteens), which also lets it stop at any of them.
        """
        segmentation, embedding = (128, 32) if device.type == "cuda" else (8, 1)
        return cls(config.segmentation_batch_size or segmentation, config.embedding_batch_size or embedding)


class Pipeline:
    """One loaded pipeline; one recording at a time."""

    def __init__(self, pipeline: SharedTrunkDiarization, device: torch.device) -> None:
        self._pipeline = pipeline
        self._device = device

    def description(self) -> DescribeDiarizationResponse:
        """What runs where, and the step from one segmentation frame to the next."""
        frame_step: float = self._pipeline._segmentation.model.receptive_field.step  # noqa: SLF001
        return DescribeDiarizationResponse(
            models=[
                ModelInfo(role=role, engine=ENGINE, provider=provider(self._device))
                for role in ("segmentation", "embedding")
            ],
            early_turns=False,
            resolution=duration(frame_step),
        )

    def warm_up(self) -> None:
        """Run both networks once, so that the first recording does not pay for it."""
        windows = 1 if self._device.type == "cpu" else self._pipeline.embedding_batch_size
        segmentation, embedding = self._pipeline._segmentation, self._pipeline._embedding  # noqa: SLF001
        audio = torch.zeros(windows, 1, round(segmentation.duration * SAMPLE_RATE))
        scores: Any = segmentation.infer(audio)
        embedding(audio, masks=torch.ones(windows, scores.shape[1]))

    def __call__(self, samples: npt.NDArray[np.float32], bounds: SpeakerBounds, hook: Hook) -> Diarization:
        """Who speaks when in mono 16 kHz `samples` of shape (time,) in [-1, 1).

        A recording that does not hold as many speakers as `bounds` asks for gets as many as can be told apart. Raises
        MachineFailed, and passes on what `hook` raises.
        """
        if not samples.size:
            return diarization([], [], 0)
        with failures_named(), warnings.catch_warnings():
            # About clusters out of bounds and statistics over single frames: all of it is answered above.
            warnings.simplefilter("ignore")
            output: Any = self._pipeline(
                {"waveform": torch.from_numpy(samples)[None], "sample_rate": SAMPLE_RATE, "uri": "recording"},
                min_speakers=bounds.minimum,
                max_speakers=bounds.maximum,
                hook=_adapted(hook),
            )
        return diarization(
            _tracks(output.speaker_diarization),
            _tracks(output.exclusive_speaker_diarization),
            samples.size,
        )


def load_pipeline(config: WorkerConfig) -> Pipeline:
    """The pipeline on its device, not warmed yet. Raises ModelUnavailable, InvalidConfig (no such device)."""
    # By itself torch heeds the CPUs that it may run on, not a share of their time.
    torch.set_num_threads(config.threads or min(torch.get_num_threads(), cores()))
    device = device_named(config.device)
    pipeline = build(config, device, SharedTrunkDiarization)
    _log.info(
        "pipeline loaded",
        device=provider(device),
        asked_for=config.device,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        segmentation_batch_size=pipeline.segmentation_batch_size,
        embedding_batch_size=pipeline.embedding_batch_size,
    )
    return Pipeline(pipeline, device)


def build(config: WorkerConfig, device: torch.device, kind: type[PipelineT]) -> PipelineT:
    """pyannote.audio's pipeline, or a kind of it, from the configured folders."""
    batch_sizes = _BatchSizes.of(config, device)
    pipeline = kind(
        segmentation=load_network(Path(config.segmentation)),
        embedding=load_network(Path(config.embedding)),
        embedding_exclude_overlap=True,
        plda=_NoPlda(),
        clustering="AgglomerativeClustering",
        segmentation_batch_size=batch_sizes.segmentation,
        embedding_batch_size=batch_sizes.embedding,
    )
    pipeline.instantiate(PARAMETERS)
    pipeline.to(device)
    return pipeline


def _adapted(hook: Hook) -> Callable[..., None]:
    """pyannote.audio's hook from ours."""

    def adapted(
        step: str, artifact: Any, *, file: Any = None, completed: int | None = None, total: int | None = None
    ) -> None:
        del artifact, file
        hook(step, completed, total)

    return adapted


def _tracks(annotation: Annotation) -> Iterator[Track]:
    for segment, _, label in annotation.itertracks(yield_label=True):
        yield segment.start, segment.end, label
