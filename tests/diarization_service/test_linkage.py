"""Our centroid linkage against scipy's: the same merges, at the same distances, in the same order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from diarization_service.linkage import SCIPY_POINTS, Dendrogram, centroid_linkage, generic_linkage
from diarization_service.sketches import Sketches
from diarization_service.stages import Floats


def voices(seed: int, points: int, speakers: int, noise: float, dimension: int = 48) -> Floats:
    """Unit vectors around those of the speakers; neighbours in time resemble each other, as overlapping windows do."""
    rng = np.random.default_rng(seed)
    spread = 1 / np.arange(1, dimension + 1)
    means = rng.normal(size=(speakers, dimension)) * spread
    steps = rng.normal(size=(points, dimension)) * spread
    drift = np.stack([steps, np.roll(steps, 1, axis=0), np.roll(steps, 2, axis=0)]).mean(axis=0)
    vectors = means[np.repeat(rng.integers(speakers, size=points), 5)[:points]] + noise * drift
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def ours(points: Floats) -> Dendrogram:
    return generic_linkage(points.copy(), lambda: None)


def assert_same(points: Floats) -> None:
    theirs = linkage(points, "centroid")
    found = ours(points)
    np.testing.assert_array_equal(found[:, [0, 1, 3]], theirs[:, [0, 1, 3]])
    np.testing.assert_allclose(found[:, 2], theirs[:, 2], rtol=0, atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(2, 150),
    st.integers(1, 8),
    st.sampled_from([0.1, 0.5, 1.0, 3.0]),
    st.sampled_from([2, 3, 48]),
)
def test_merges_as_scipy_does(seed: int, points: int, speakers: int, noise: float, dimension: int) -> None:
    assert_same(voices(seed, points, speakers, noise, dimension))


@pytest.mark.parametrize(("points", "noise"), [(2500, 0.3), (2500, 2.0), (3000, 1.0)])
def test_merges_many_points_as_scipy_does(points: int, noise: float) -> None:
    assert_same(voices(7, points, 6, noise))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(2, 6), st.floats(0.05, 1.5))
def test_cuts_alike_where_every_point_comes_again(
    seed: int, points: int, times: int, threshold: float
) -> None:
    """A recording played over and over: equal points have no order to merge in, but merge first."""
    repeated = np.tile(voices(seed, points, 3, 1.0), (times, 1))
    ours_cut = fcluster(ours(repeated), threshold, "distance")
    once = fcluster(linkage(np.repeat(repeated[:points], times, axis=0), "centroid"), threshold, "distance")
    assert partition(ours_cut) == partition(once.reshape(points, times).T.ravel())


def partition(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def test_equal_points_merge_at_no_distance() -> None:
    same = np.tile(voices(3, 1, 1, 1.0), (200, 1))
    np.testing.assert_allclose(ours(same)[:, 2], 0, atol=1e-7)


def test_few_points_merge_in_scipys_order_even_where_distances_are_equal() -> None:
    corners = np.repeat(np.eye(12, 48, dtype=np.float32), 3, axis=0)
    theirs = linkage(corners, "centroid")
    np.testing.assert_array_equal(centroid_linkage(corners.copy(), lambda: None), theirs)


@pytest.mark.parametrize(("points", "passed"), [(50, 0), (SCIPY_POINTS + 1, 10), (SCIPY_POINTS + 1, 50)])
def test_what_the_check_raises_ends_the_work(points: int, passed: int) -> None:
    calls = iter(range(passed))

    with pytest.raises(StopIteration):
        centroid_linkage(voices(1, points, 2, 1.0), lambda: next(calls))


@given(st.integers(0, 10**6), st.integers(2, 80))
@settings(max_examples=50, deadline=None)
def test_sketches_never_say_more_than_the_distance(seed: int, points: int) -> None:
    vectors = voices(seed, points, 4, 1.0)
    sketches = Sketches(vectors, points)
    distances = ((vectors[:, None].astype(np.float64) - vectors) ** 2).sum(axis=-1)
    assert (sketches.lower_bounds(0, points, points) <= distances).all()
