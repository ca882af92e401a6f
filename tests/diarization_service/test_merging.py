"""Linkage of weighted means against scipy's of as many points."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from diarization_service.merging import clusters_after, heavy_after, merges
from diarization_service.stages import Floats

SIZES = st.lists(st.integers(1, 6), min_size=2, max_size=25)


def means(seed: int, count: int) -> Floats:
    vectors = np.random.default_rng(seed).normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), SIZES)
def test_a_mean_merges_as_so_many_equal_points_do(seed: int, sizes: list[int]) -> None:
    vectors, weights = means(seed, len(sizes)), np.array(sizes, np.float32)
    theirs = linkage(np.repeat(vectors, sizes, axis=0), "centroid")
    ours = merges(vectors, weights)
    np.testing.assert_allclose(
        [merge.distance for merge in ours], theirs[sum(sizes) - len(sizes) :, 2], atol=1e-3
    )
    assert [sum(merge.weights) for merge in ours] == theirs[sum(sizes) - len(sizes) :, 3].tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), SIZES, st.floats(0.3, 1.4))
def test_clusters_up_to_a_distance_are_those_of_a_cut(seed: int, sizes: list[int], distance: float) -> None:
    vectors = means(seed, len(sizes))
    found = merges(vectors, np.ones(len(sizes), np.float32))
    beyond = [number for number, merge in enumerate(found) if merge.distance > distance]
    clusters = clusters_after(found[: beyond[0] if beyond else None], len(sizes))
    theirs = fcluster(linkage(vectors, "centroid"), distance, "distance")
    assert (clusters[:, None] == clusters).tolist() == (theirs[:, None] == theirs).tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), SIZES, st.integers(1, 12))
def test_heavy_clusters_are_counted_after_each_merge(seed: int, sizes: list[int], least: int) -> None:
    weights = np.array(sizes, np.float32)
    found = merges(means(seed, len(sizes)), weights)
    counts = [
        np.count_nonzero(np.bincount(clusters_after(found[:done], len(sizes)), weights) >= least)
        for done in range(len(sizes))
    ]
    assert heavy_after(found, weights, least).tolist() == counts


def test_one_mean_has_nothing_to_merge_with() -> None:
    alone = np.ones(1, np.float32)
    assert merges(means(0, 1), alone) == []
    assert heavy_after([], alone, 1.0).tolist() == [1]
