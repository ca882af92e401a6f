"""The final clustering against pyannote.audio's own."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diarization_service.torch_compat  # noqa: F401  makes the next imports work
from diarization_service.clustering import MIN_CLUSTER_SIZE, THRESHOLD, Clusters, clean_enough, cluster
from diarization_service.stages import Activity, Floats
from serving.speakers import SpeakerBounds

# isort: split
from pyannote.audio.pipelines.clustering import AgglomerativeClustering
from pyannote.audio.pipelines.utils.diarization import set_num_speakers
from pyannote.core import SlidingWindow, SlidingWindowFeature

FRAMES = 40
DIMENSION = 16


def pyannote(embeddings: Floats, activity: Activity, bounds: SpeakerBounds) -> tuple[Any, Any]:
    """Labels of (windows, speakers) and centroids."""
    theirs = AgglomerativeClustering(metric="cosine").instantiate(
        {"method": "centroid", "min_cluster_size": MIN_CLUSTER_SIZE, "threshold": THRESHOLD}
    )
    exact, minimum, maximum = set_num_speakers(None, bounds.minimum, bounds.maximum)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels, _, centroids = theirs(
            embeddings=embeddings,
            segmentations=SlidingWindowFeature(activity.astype(np.float32), SlidingWindow(10, 1)),
            num_clusters=exact,
            min_clusters=minimum,
            max_clusters=maximum,
        )
    return labels, centroids


def ours(embeddings: Floats, activity: Activity, bounds: SpeakerBounds) -> Clusters:
    heard = activity.any(axis=1)
    return cluster(embeddings[heard], clean_enough(activity)[heard], bounds)


def recording(
    seed: int, windows: int, speakers: int, noise: float, missing: float = 0.0
) -> tuple[Floats, Activity]:
    """Windows with up to three of the speakers each; some of those without an embedding."""
    rng = np.random.default_rng(seed)
    voices = rng.normal(size=(speakers, DIMENSION))
    who = rng.integers(speakers, size=(windows, 3))
    embeddings = voices[who] + noise * rng.normal(size=(windows, 3, DIMENSION))
    activity = rng.random((windows, FRAMES, 3)) < rng.choice([0, 0.1, 0.7], size=(windows, 1, 3))
    embeddings[~activity.any(axis=1) | (rng.random((windows, 3)) < missing)] = np.nan
    return embeddings.astype(np.float32), activity.astype(np.uint8)


BOUNDS = st.sampled_from(
    [
        SpeakerBounds(),
        SpeakerBounds(2, 2),
        SpeakerBounds(1, 1),
        SpeakerBounds(7, 7),
        SpeakerBounds(4, None),
        SpeakerBounds(None, 2),
        SpeakerBounds(3, 5),
        SpeakerBounds(40, 60),
    ]
)


def assert_equal(embeddings: Floats, activity: Activity, bounds: SpeakerBounds) -> None:
    labels, centroids = pyannote(embeddings, activity, bounds)
    found = ours(embeddings, activity, bounds)
    np.testing.assert_array_equal(found.labels, labels[activity.any(axis=1)])
    np.testing.assert_array_equal(found.centroids, centroids)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 90),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.05, 0.2, 0.4, 0.7, 1.0]),
    st.sampled_from([0.0, 0.3]),
    BOUNDS,
)
def test_equals_pyannote(
    seed: int, windows: int, speakers: int, noise: float, missing: float, bounds: SpeakerBounds
) -> None:
    embeddings, activity = recording(seed, windows, speakers, noise, missing)
    assert_equal(embeddings, activity, bounds)


@pytest.mark.parametrize("bounds", [SpeakerBounds(), SpeakerBounds(2, 2), SpeakerBounds(20, None)])
def test_equals_pyannote_where_rows_fill_several_blocks(bounds: SpeakerBounds) -> None:
    assert_equal(*recording(1, 4000, 9, 0.55, missing=0.05), bounds)


@pytest.mark.parametrize("missing", [0.0, 1.0])
@pytest.mark.parametrize("windows", [1, 2, 3])
def test_equals_pyannote_on_few_windows_and_without_embeddings(windows: int, missing: float) -> None:
    for seed in range(20):
        assert_equal(*recording(seed, windows, 2, 0.3, missing), SpeakerBounds())


def test_who_speaks_alone_for_a_fifth_of_the_window_founds_clusters() -> None:
    activity = np.zeros((1, FRAMES, 3), np.uint8)
    activity[0, :8, 0] = activity[0, 8:20, 1] = activity[0, 13:20, 2] = 1
    assert clean_enough(activity).tolist() == [[True, False, False]]


def test_an_embedding_of_zeros_is_none() -> None:
    embeddings = np.zeros((5, DIMENSION), np.float32)
    embeddings[:4, 0] = 1
    found = cluster(embeddings, np.ones(5, np.bool_), SpeakerBounds())
    assert found.labels.tolist() == [0, 0, 0, 0, 0]
    assert found.centroids.shape == (1, DIMENSION)


def test_what_the_check_raises_ends_the_clustering() -> None:
    def cancelled() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        cluster(np.eye(8, dtype=np.float32), np.ones(8, np.bool_), SpeakerBounds(), cancelled)
