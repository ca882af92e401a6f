"""A recording through diarization's stages as it arrives, in this process."""

from benchmarks.corpus import Samples
from diarization_service.final_turns import Answer
from diarization_service.recording import Recording
from diarization_service.stages import Networks
from serving.speakers import SpeakerBounds
from serving.times import SAMPLE_RATE


def streamed(networks: Networks, samples: Samples, bounds: SpeakerBounds, chunk: int = SAMPLE_RATE) -> Answer:
    """Who speaks when; `chunk` samples arrive at once, and what is ready is computed in whole batches."""
    recording = Recording(networks.geometry, bounds, block_windows=networks.block_windows)
    for start in range(0, len(samples), chunk):
        recording.feed(samples[start : start + chunk].tobytes())
        compute(networks, recording, whole_batches=True)
    recording.end()
    compute(networks, recording)
    return recording.answer()


def compute(networks: Networks, recording: Recording, *, whole_batches: bool = False) -> None:
    """All that is ready, or no more of it than fills batches."""
    least = networks.segmentation_batch if whole_batches else 1
    while recording.ready_windows >= least:
        recording.accept_activity(networks.segment(recording.take_windows(networks.segmentation_batch)))
    least = networks.embedding_batch if whole_batches else 1
    while recording.ready_blocks >= least:
        recording.accept_embeddings(networks.embed(recording.take_blocks(networks.embedding_batch)))
