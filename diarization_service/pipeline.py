"""pyannote.audio's own speaker diarization on local weights, whole recordings at a time: what exact mode answers to.

Segmentation of overlapping 10 s windows, an embedding for each speaker of each window, agglomerative clustering with the
parameters of `pyannote/speaker-diarization-3.1`. Reference: Bredin, "pyannote.audio 2.1 speaker diarization pipeline:
principle, benchmark, and recipe", Interspeech 2023. Tests and benchmarks compare with it; the service does not run it.
"""

from pathlib import Path
from typing import TypeVar

import torch

import diarization_service.torch_compat  # noqa: F401  makes the next imports work
from diarization_service.config import WorkerConfig
from diarization_service.networks import load_network

# isort: split
from pyannote.audio.core.plda import PLDA
from pyannote.audio.pipelines import SpeakerDiarization

PARAMETERS = {
    "segmentation": {"min_duration_off": 0.0},
    "clustering": {"method": "centroid", "min_cluster_size": 12, "threshold": 0.7045654963945799},
}

PipelineT = TypeVar("PipelineT", bound=SpeakerDiarization)


class _NoPlda(PLDA):
    """Fills the place of the model that only the other clustering, VBx, scores with.

    Given a name or nothing, the pipeline would fetch one from the hub, whatever its clustering.
    """

    def __init__(self) -> None:
        pass


def build(config: WorkerConfig, device: torch.device, kind: type[PipelineT]) -> PipelineT:
    """pyannote.audio's pipeline, or a kind of it, from the configured folders; batches of one where no size is configured."""
    pipeline = kind(
        segmentation=load_network(Path(config.segmentation)),
        embedding=load_network(Path(config.embedding)),
        embedding_exclude_overlap=True,
        plda=_NoPlda(),
        clustering="AgglomerativeClustering",
        segmentation_batch_size=config.segmentation_batch_size or 1,
        embedding_batch_size=config.embedding_batch_size or 1,
    )
    pipeline.instantiate(PARAMETERS)
    pipeline.to(device)
    return pipeline
