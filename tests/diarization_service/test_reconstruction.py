"""From the networks' results to turns, against pyannote.audio's own pipeline given the same results."""

import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import diarization_service.torch_compat  # noqa: F401  makes the next imports work
from benchmarks.deterministic.written import GEOMETRY
from diarization_service.clustering import MIN_CLUSTER_SIZE, THRESHOLD
from diarization_service.counting import FRAMES_AT_ONCE, Grid, SpeakerCount
from diarization_service.final_turns import Answer
from diarization_service.reconstruction import NamedWindows, named_by, runs
from diarization_service.recording import Recording
from diarization_service.runs import Track
from diarization_service.stages import Activity, Floats
from diarization_service.store import Store, masks
from serving.speakers import SpeakerBounds

# isort: split
from pyannote.audio.core.inference import Inference
from pyannote.audio.pipelines import SpeakerDiarization
from pyannote.audio.pipelines.clustering import AgglomerativeClustering
from pyannote.core import Annotation, SlidingWindow, SlidingWindowFeature

WINDOWS = SlidingWindow(duration=10.0, step=1.0, start=0.0)
FRAMES = SlidingWindow(duration=GEOMETRY.frame_duration, step=GEOMETRY.frame_step, start=0.0)
ANYONE = SpeakerBounds()


class Results(NamedTuple):
    """What both networks found."""

    activity: Activity
    embeddings: Floats


class Theirs:
    """pyannote.audio's pipeline behind its networks: its own functions, without its constructor, which loads them."""

    legacy = False
    embedding_exclude_overlap = False
    klustering = "AgglomerativeClustering"
    _expects_num_speakers = False
    _segmentation = SimpleNamespace(
        model=SimpleNamespace(specifications=SimpleNamespace(powerset=True), receptive_field=FRAMES)
    )
    _embedding = SimpleNamespace(dimension=GEOMETRY.dimension)
    segmentation = SimpleNamespace(min_duration_off=0.0)

    apply: Any = SpeakerDiarization.apply
    reconstruct: Any = SpeakerDiarization.reconstruct
    classes: Any = SpeakerDiarization.classes
    speaker_count = staticmethod(SpeakerDiarization.speaker_count)
    to_diarization = staticmethod(SpeakerDiarization.to_diarization)
    to_annotation = staticmethod(SpeakerDiarization.to_annotation)

    def __init__(self, results: Results) -> None:
        self._results = results
        self.clustering = AgglomerativeClustering(metric="cosine").instantiate(
            {"method": "centroid", "min_cluster_size": MIN_CLUSTER_SIZE, "threshold": THRESHOLD}
        )

    def setup_hook(self, file: Any, hook: Any) -> Any:
        return lambda *_, **__: None

    def get_segmentations(self, file: Any, hook: Any) -> SlidingWindowFeature:
        return SlidingWindowFeature(self._results.activity.astype(np.float32), WINDOWS)

    def get_embeddings(self, *_: Any, **__: Any) -> Floats:
        return self._results.embeddings.copy()


class NotedMasks:
    """In place of the embedding network: keeps the masks that it is called with."""

    sample_rate = 16_000

    def __init__(self, fewest: int) -> None:
        self.min_num_samples = fewest
        self.masks: list[Floats] = []

    def __call__(self, waveforms: Any, masks: Any) -> Floats:
        self.masks.append(masks.numpy())
        return np.zeros((len(masks), 1), np.float32)


def theirs(results: Results, bounds: SpeakerBounds) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Theirs(results).apply(
            {"uri": "recording"}, min_speakers=bounds.minimum, max_speakers=bounds.maximum
        )


def ours(results: Results, bounds: SpeakerBounds) -> Answer:
    recording = Recording(GEOMETRY, bounds)
    recording.feed(bytes(2 * (GEOMETRY.window + (len(results.activity) - 1) * GEOMETRY.step)))
    recording.end()
    recording.take_windows(recording.windows)
    recording.accept_activity(results.activity)
    speaking = results.activity.any(axis=(1, 2))
    assert len(recording.take_blocks(recording.windows)) == speaking.sum()
    recording.accept_embeddings([found[None] for found in results.embeddings[speaking]])
    return recording.answer()


def spans(tracks: tuple[Track, ...]) -> list[tuple[float, float, int]]:
    return [(track.start, track.end, track.speaker) for track in tracks]


def spans_of(annotation: Annotation) -> list[tuple[float, float, int]]:
    return sorted(
        (segment.start, segment.end, label) for segment, _, label in annotation.itertracks(yield_label=True)
    )


def unnamed(spans: list[tuple[float, float, Any]]) -> list[tuple[float, float, Any]]:
    """With labels in order of first appearance."""
    names: dict[Any, int] = {}
    return [(start, end, names.setdefault(label, len(names))) for start, end, label in spans]


def random_activity(random: np.random.Generator, windows: int) -> Activity:
    """Stretches of speech and silence, and local speakers who are silent throughout."""
    share = random.choice([0.0, 0.05, 0.3, 0.7], size=(windows, 1, GEOMETRY.speakers))
    stretches = random.random((windows, 40, GEOMETRY.speakers)) < share
    return stretches.repeat(15, axis=1)[:, : GEOMETRY.frames].astype(np.uint8)


def random_results(random: np.random.Generator, windows: int, people: int, missing: float) -> Results:
    voices = random.standard_normal((people, GEOMETRY.dimension))
    who = random.integers(people, size=(windows, GEOMETRY.speakers))
    embeddings = voices[who] + 0.3 * random.standard_normal((*who.shape, GEOMETRY.dimension))
    embeddings[random.random(who.shape) < missing] = np.nan
    return Results(random_activity(random, windows), embeddings.astype(np.float32))


BOUNDS = [
    ANYONE,
    SpeakerBounds(1, 1),
    SpeakerBounds(2, 2),
    SpeakerBounds(3, None),
    SpeakerBounds(None, 2),
    SpeakerBounds(20, 20),
]


def test_frames_lie_where_pyannote_has_them_for_ten_hours() -> None:
    grid, windows = Grid(GEOMETRY), range(10 * 3600)
    firsts = grid.first_frames(windows).tolist()
    assert firsts == [
        FRAMES.closest_frame(WINDOWS[window].start + 0.5 * FRAMES.duration) for window in windows
    ]
    for count in range(1, len(windows), 997):
        empty = SlidingWindowFeature(np.zeros((1, GEOMETRY.frames, 1)), WINDOWS)
        empty.sliding_window = SlidingWindow(duration=10.0 + count - 1, step=1.0, start=0.0)
        assert grid.frames(count) == len(Inference.aggregate(empty, FRAMES))
        assert grid.time(firsts[count]) == FRAMES[firsts[count]].middle


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    windows=st.integers(1, 60),
    people=st.integers(1, 6),
    missing=st.sampled_from([0.0, 0.1]),
    bounds=st.sampled_from(BOUNDS),
)
def test_turns_are_pyannotes(
    seed: int, windows: int, people: int, missing: float, bounds: SpeakerBounds
) -> None:
    results = random_results(np.random.default_rng(seed), windows, people, missing)
    expected, found = theirs(results, bounds), ours(results, bounds)
    assert unnamed(spans(found.tracks)) == unnamed(spans_of(expected.speaker_diarization))
    assert unnamed(spans(found.exclusive)) == unnamed(spans_of(expected.exclusive_speaker_diarization))


def test_voices_are_pyannotes() -> None:
    results = random_results(np.random.default_rng(7), 80, 4, 0.1)
    expected, found = theirs(results, ANYONE), ours(results, ANYONE)
    labels = expected.speaker_diarization.labels()
    assert len(found.voices) == len(labels) == 4
    order = [labels.index(label) for _, _, label in spans_of(expected.speaker_diarization)]
    for place, track in zip(order, found.tracks, strict=True):
        np.testing.assert_allclose(
            found.voices[track.speaker], expected.speaker_embeddings[place], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("people", [1, 3, 16, 17, 33])
@pytest.mark.parametrize("most", [2, 255])
def test_ties_between_any_number_of_people_fall_as_in_pyannote(people: int, most: int) -> None:
    """Which of several with as many votes speaks is NumPy's sort to say, and it sorts long rows another way than short ones."""
    random = np.random.default_rng(people)
    # More frames than are taken at a time.
    windows = FRAMES_AT_ONCE // 59 + 20
    activity = random_activity(random, windows)
    clusters = random.integers(people, size=(windows, GEOMETRY.speakers))
    store, count, grid = Store(GEOMETRY), SpeakerCount(GEOMETRY), Grid(GEOMETRY)
    for start in range(0, windows, 7):
        store.add_activity(activity[start : start + 7])
        count.add(activity[start : start + 7])
    counts = np.minimum(count.counts(0, grid.frames(windows)), most)
    named = NamedWindows(grid, store.activity, named_by(clusters[store.speaking], store.speaking))
    found = runs(named, counts)

    segmentations = SlidingWindowFeature(activity.astype(np.float32), WINDOWS)
    expected = SpeakerDiarization.speaker_count(segmentations, FRAMES, warm_up=(0.0, 0.0))
    clusters[~activity.any(axis=1)] = -2
    for ours_at_most, turns in zip((most, 1), found, strict=True):
        expected.data = np.minimum(expected.data, ours_at_most).astype(np.int8)
        discrete = reconstruct(segmentations, clusters, expected)
        assert drawn(turns, discrete.data.shape) == discrete.data.astype(bool).tolist()


def reconstruct(*arguments: Any) -> SlidingWindowFeature:
    without_pipeline: Any = SpeakerDiarization
    return SpeakerDiarization.reconstruct(without_pipeline, *arguments)


def drawn(turns: Any, shape: tuple[int, int]) -> list[list[bool]]:
    frames = np.zeros(shape, bool)
    for run in turns:
        assert not frames[run.start : run.stop, run.speaker].any()
        frames[run.start : run.stop, run.speaker] = True
    result: list[list[bool]] = frames.tolist()
    return result


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), fewest=st.sampled_from([400, 16_000, 80_000]))
def test_masks_are_those_that_pyannote_embeds_with(seed: int, fewest: int) -> None:
    activity = random_activity(np.random.default_rng(seed), 4)
    embedding = NotedMasks(fewest)
    pipeline: Any = SimpleNamespace(
        training=False,
        embedding_batch_size=1,
        _audio=SimpleNamespace(crop=lambda *_, **__: (torch.zeros(1, 1), 16_000)),
        _embedding=embedding,
    )
    SpeakerDiarization.get_embeddings(
        pipeline, {}, SlidingWindowFeature(activity.astype(np.float32), WINDOWS), exclude_overlap=True
    )
    found = masks(activity, replace(GEOMETRY, least_samples=fewest))
    np.testing.assert_array_equal(found, np.concatenate(embedding.masks).reshape(found.shape))
