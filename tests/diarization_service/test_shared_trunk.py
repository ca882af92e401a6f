"""The trunk computed once a window, against pyannote.audio's own pipeline: the same embeddings, the same turns."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.models

SAMPLE_RATE = 16_000


class Steps:
    """A hook that keeps what each step of the pipeline made."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}

    def __call__(self, step: str, artifact: Any, **_: Any) -> None:
        if artifact is not None:
            self.made[step] = artifact


@pytest.mark.filterwarnings("ignore:std()")  # statistics over single frames
def test_embeddings_and_turns_are_those_of_the_whole_network() -> None:
    # Imported here: torch is slow to load, and other tests do without it.
    import torch  # noqa: PLC0415

    from diarization_service.config import WorkerConfig  # noqa: PLC0415
    from diarization_service.pipeline import build  # noqa: PLC0415
    from diarization_service.shared_trunk import SharedTrunkDiarization  # noqa: PLC0415
    from serving.models import ModelStore  # noqa: PLC0415

    # isort: split
    import pyannote.audio  # noqa: PLC0415
    from pyannote.audio.pipelines import SpeakerDiarization  # noqa: PLC0415

    store = ModelStore()
    config = WorkerConfig(
        segmentation=str(store.path("pyannote-segmentation-3.0")),
        embedding=str(store.path("wespeaker-resnet34")),
        segmentation_batch_size=4,
        embedding_batch_size=2,
    )
    with wave.open(str(Path(pyannote.audio.__file__).parent / "sample" / "sample.wav")) as file:
        file.setpos(8 * SAMPLE_RATE)
        samples = np.frombuffer(file.readframes(round(11.3 * SAMPLE_RATE)), "<i2").astype(np.float32) / 32_768
    recording = {"waveform": torch.from_numpy(samples)[None], "sample_rate": SAMPLE_RATE, "uri": "recording"}
    whole, shared = Steps(), Steps()
    pipeline = build(config, torch.device("cpu"), SharedTrunkDiarization)
    found = pipeline(recording, hook=shared)
    expected = build(config, torch.device("cpu"), SpeakerDiarization)(recording, hook=whole)

    # Convolutions over batches of other sizes may round in another way.
    np.testing.assert_allclose(shared.made["embeddings"], whole.made["embeddings"], atol=1e-5)
    assert found.speaker_diarization == expected.speaker_diarization
    assert found.exclusive_speaker_diarization == expected.exclusive_speaker_diarization
    assert len(expected.speaker_diarization.labels()) == 2

    segmentations = shared.made["segmentation"]
    segmentations.data[1] = 0
    without_second = pipeline.get_embeddings(recording, segmentations, exclude_overlap=True)
    assert np.isnan(without_second[1]).all()
    np.testing.assert_allclose(without_second[[0, 2]], whole.made["embeddings"][[0, 2]], atol=1e-5)
