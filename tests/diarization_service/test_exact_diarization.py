"""A streamed recording's turns against those of pyannote.audio's whole pipeline, on real speech and what telephones make of it."""

import wave
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.conversations import Manner, converse
from diarization_service.final_turns import Answer
from diarization_service.recording import Recording
from diarization_service.runs import Track
from diarization_service.stages import joined
from serving.speakers import SpeakerBounds

if TYPE_CHECKING:
    from diarization_service.torch_networks import TorchNetworks

pytestmark = pytest.mark.models

SAMPLE_RATE = 16_000
FRAME = 270 / SAMPLE_RATE
FULL_SCALE = 32_768

ANYONE = SpeakerBounds()

Pcm = npt.NDArray[np.int16]
Spans = list[tuple[float, float, Any]]


def sample(start: float, seconds: float) -> Pcm:
    import pyannote.audio  # noqa: PLC0415  torch is slow to load, and other tests do without it

    with wave.open(str(Path(pyannote.audio.__file__).parent / "sample" / "sample.wav")) as file:
        file.setpos(round(start * SAMPLE_RATE))
        return np.frombuffer(file.readframes(round(seconds * SAMPLE_RATE)), np.int16)


def clipped(pcm: Pcm) -> Pcm:
    return np.clip(pcm.astype(np.int32) * 12, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def telephone(pcm: Pcm) -> Pcm:
    """At 8 kHz, and back."""
    narrow = pcm[: len(pcm) // 2 * 2].reshape(-1, 2).mean(axis=1)
    wide: Pcm = np.interp(np.arange(len(pcm)) / 2, np.arange(len(narrow)), narrow).astype(np.int16)
    return wide


def noise(seconds: float) -> Pcm:
    samples = np.random.default_rng(4).normal(0, 2_000, round(seconds * SAMPLE_RATE))
    return samples.astype(np.int16)


CLIPS: dict[str, Callable[[], Pcm]] = {
    "two speakers": lambda: sample(8.0, 11.4),
    "three speakers, some at once": lambda: converse(16, 3, 71, Manner(overlap=0.12, quick=0.6)).samples,
    "under a window": lambda: sample(6.0, 3.3),
    "clipped": lambda: clipped(sample(12.0, 10.0)),
    "with a constant voltage": lambda: sample(12.0, 10.0) + np.int16(4_000),
    "by telephone": lambda: telephone(sample(12.0, 10.0)),
    "noise": lambda: noise(5.0),
    "silence": lambda: np.zeros(5 * SAMPLE_RATE, np.int16),
}


@pytest.fixture(scope="module")
def config() -> Any:
    from diarization_service.config import WorkerConfig  # noqa: PLC0415
    from serving.models import ModelStore  # noqa: PLC0415

    store = ModelStore()
    return WorkerConfig(
        segmentation=str(store.path("pyannote-segmentation-3.0")),
        embedding=str(store.path("wespeaker-resnet34")),
        device="cpu",
        mode="exact",
        segmentation_batch_size=4,
    )


@pytest.fixture(scope="module")
def pipeline(config: Any) -> Any:
    import torch  # noqa: PLC0415

    from diarization_service.pipeline import build  # noqa: PLC0415

    # isort: split
    from pyannote.audio.pipelines import SpeakerDiarization  # noqa: PLC0415

    class Remembering(SpeakerDiarization):
        """Runs its networks, which take the time, once a recording, whatever the hints."""

        heard: ClassVar[dict[tuple[str, str], Any]] = {}

        def get_segmentations(self, file: Any, hook: Any = None) -> Any:
            return self._once("segmentations", file, lambda: super(Remembering, self).get_segmentations(file))

        def get_embeddings(self, file: Any, *inputs: Any, hook: Any = None, **options: Any) -> Any:
            return self._once(
                "embeddings", file, lambda: super(Remembering, self).get_embeddings(file, *inputs, **options)
            )

        def _once(self, step: str, file: Any, compute: Callable[[], Any]) -> Any:
            key = step, file["uri"]
            if key not in self.heard:
                self.heard[key] = compute()
            return self.heard[key]

    return build(config, torch.device("cpu"), Remembering)


@pytest.fixture(scope="module")
def networks(config: Any) -> "Iterator[TorchNetworks]":
    import torch  # noqa: PLC0415

    from diarization_service.torch_networks import load_networks  # noqa: PLC0415

    threads = torch.get_num_threads()
    yield load_networks(config)
    torch.set_num_threads(threads)


def theirs(pipeline: Any, pcm: Pcm, **speakers: int | None) -> tuple[Spans, Spans]:
    import torch  # noqa: PLC0415

    waveform = torch.from_numpy(pcm.astype(np.float32) / FULL_SCALE)[None]
    found = pipeline(
        {"waveform": waveform, "sample_rate": SAMPLE_RATE, "uri": str(zlib.crc32(pcm.tobytes()))}, **speakers
    )
    return _spans_of(found.speaker_diarization), _spans_of(found.exclusive_speaker_diarization)


def _spans_of(annotation: Any) -> Spans:
    return sorted(
        (segment.start, segment.end, label) for segment, _, label in annotation.itertracks(yield_label=True)
    )


def compute(networks: "TorchNetworks", recordings: list[Recording]) -> None:
    """What is ready of all of them, in batches that they share."""
    windows = [recording.take_windows(recording.ready_windows) for recording in recordings]
    if any(map(len, windows)):
        activity = networks.segment(joined(windows))
        ends = np.cumsum([len(taken) for taken in windows])
        for recording, found in zip(recordings, np.split(activity, ends[:-1]), strict=True):
            recording.accept_activity(found)
    blocks = [recording.take_blocks(recording.ready_blocks) for recording in recordings]
    if any(blocks):
        embeddings = iter(networks.embed([block for taken in blocks for block in taken]))
        for recording, taken in zip(recordings, blocks, strict=True):
            recording.accept_embeddings([next(embeddings) for _ in taken])


def ours(
    networks: "TorchNetworks", *clips: Pcm, bounds: SpeakerBounds = ANYONE, milliseconds: int = 1_000
) -> list[Answer]:
    """Of clips that arrive side by side, piece by piece."""
    recordings = [Recording(networks.geometry, bounds, block_windows=networks.block_windows) for _ in clips]
    piece = milliseconds * SAMPLE_RATE // 1000
    for start in range(0, max(map(len, clips)), piece):
        for recording, clip in zip(recordings, clips, strict=True):
            if start < len(clip):
                recording.feed(clip[start : start + piece].tobytes())
                if start + piece >= len(clip):
                    recording.end()
        compute(networks, recordings)
    return [recording.answer() for recording in recordings]


def assert_same(found: tuple[Track, ...], expected: Spans) -> None:
    """The same turns within a frame, of the same speakers."""
    assert len(found) == len(expected)
    names: dict[int, Any] = {}
    for track, (start, end, label) in zip(found, expected, strict=True):
        assert (track.start, track.end) == pytest.approx((start, end), abs=FRAME)
        assert names.setdefault(track.speaker, label) == label
    assert len(set(names.values())) == len(names)


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.filterwarnings("ignore:std()")  # statistics over single frames
def test_turns_are_pyannotes(clip: str, networks: "TorchNetworks", pipeline: Any) -> None:
    pcm = CLIPS[clip]()
    [found] = ours(networks, pcm)
    together, alone = theirs(pipeline, pcm)
    assert_same(found.tracks, together)
    assert_same(found.exclusive, alone)
    assert bool(together) == (clip not in ("noise", "silence"))


@pytest.mark.parametrize("bounds", [SpeakerBounds(1, 1), SpeakerBounds(3, 3)])
@pytest.mark.filterwarnings("ignore:std()")  # statistics over single frames
@pytest.mark.filterwarnings("ignore:.*The detected number of speakers")
def test_hints_are_taken_as_pyannote_takes_them(
    bounds: SpeakerBounds, networks: "TorchNetworks", pipeline: Any
) -> None:
    pcm = CLIPS["two speakers"]()
    [found] = ours(networks, pcm, bounds=bounds)
    together, alone = theirs(pipeline, pcm, min_speakers=bounds.minimum, max_speakers=bounds.maximum)
    assert_same(found.tracks, together)
    assert_same(found.exclusive, alone)


def test_neither_pieces_nor_company_change_the_turns(networks: "TorchNetworks") -> None:
    clips = [sample(8.0, 12.4), sample(3.0, 11.2), noise(5.0)]
    side_by_side = ours(networks, *clips, milliseconds=20)
    for clip, found in zip(clips, side_by_side, strict=True):
        [alone] = ours(networks, clip, milliseconds=60_000)
        assert_same(found.tracks, spans(alone.tracks))
        assert_same(found.exclusive, spans(alone.exclusive))


def spans(tracks: tuple[Track, ...]) -> Spans:
    return [(track.start, track.end, track.speaker) for track in tracks]
