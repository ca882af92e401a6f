"""Early clustering: what it says while embeddings come, and that it costs no more as they do."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diarization_service import early
from diarization_service.clustering import cluster
from diarization_service.cutting import UNKNOWN, Names
from diarization_service.early import EarlyClustering
from diarization_service.stages import Floats
from serving.speakers import SpeakerBounds

DIMENSION = 32


def voices(turns: list[int], noise: float = 0.4, seed: int = 0) -> Floats:
    """An embedding a window of the people that speak in turn."""
    rng = np.random.default_rng(seed)
    people = np.linalg.qr(np.random.default_rng(1).normal(size=(DIMENSION, DIMENSION)))[0]
    spread = noise * rng.normal(size=(len(turns), DIMENSION)) / np.sqrt(DIMENSION)
    return (3 * (people[turns] + spread)).astype(np.float32)


def heard(
    clustering: EarlyClustering, embeddings: Floats, at_once: int = 1, clean: bool = True
) -> list[Names]:
    """What it said after each addition."""
    said = []
    for start in range(0, len(embeddings), at_once):
        some = embeddings[start : start + at_once]
        clustering.add(some, np.full(len(some), clean))
        said.append(clustering.labels())
    return said


def early_clustering(minimum: int | None = None, maximum: int | None = None) -> EarlyClustering:
    return EarlyClustering(SpeakerBounds(minimum, maximum), DIMENSION)


def partition(labels: Names) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def speakers(labels: Names) -> int:
    return len(np.unique(labels))


CONVERSATION = [*[0] * 12, *[1] * 14, *[0] * 13, *[2] * 15, *[1] * 12]


def test_says_soon_who_speaks_and_keeps_to_it() -> None:
    soon = 6
    for labels in heard(early_clustering(), voices(CONVERSATION)):
        sure = max(0, len(labels) - soon)
        assert labels.tolist()[:sure] == CONVERSATION[:sure]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(7, 70))
def test_ends_as_the_final_clustering_does(seed: int, people: int, at_once: int) -> None:
    turns = np.random.default_rng(seed).integers(people, size=30).repeat(14).tolist()
    embeddings = voices(turns, seed=seed)
    final = cluster(embeddings, np.ones(len(turns), np.bool_), SpeakerBounds()).labels
    assert partition(heard(early_clustering(), embeddings, at_once)[-1]) == partition(final)


def test_labels_do_not_change_while_the_same_people_go_on() -> None:
    turns = np.random.default_rng(3).integers(3, size=200).repeat(8).tolist()
    said = heard(early_clustering(), voices(turns, noise=0.6), at_once=4)
    for before, after in pairwise(said[40:]):
        np.testing.assert_array_equal(after[: len(before)], before)


def test_a_speaker_stays_one_while_others_go_on() -> None:
    turns = [*[0] * 20, *[1] * 8, *[0] * 100]
    assert heard(early_clustering(), voices(turns))[-1].tolist() == turns
    assert heard(early_clustering(), voices(turns), at_once=len(turns))[-1].max() == 0


def test_voices_that_turn_out_to_be_one_are_joined_only_once_that_lasts() -> None:
    people = np.zeros((3, DIMENSION), np.float32)
    people[0, 0] = people[1, 1] = 1
    people[1, 0] = 1  # 0.77 from the first, just beyond the threshold
    people[2] = people[0] + people[1] / np.linalg.norm(people[1])  # between the two
    embeddings = people[[*[0] * 15, *[1] * 15, *[2] * 25]]
    at_once = [speakers(heard(early_clustering(), embeddings[:count], count)[-1]) for count in range(30, 55)]
    one_by_one = [speakers(labels) for labels in heard(early_clustering(), embeddings)[29:-1]]
    assert at_once[0] == one_by_one[0] == 2
    assert one_by_one.index(1) >= at_once.index(1) + early._PATIENCE
    assert set(one_by_one[one_by_one.index(1) :]) == {1}


def test_who_founds_no_speaker_is_given_to_the_nearest_one() -> None:
    clustering = early_clustering()
    heard(clustering, voices([*[0] * 10, *[1] * 10]))
    assert heard(clustering, voices([1, 0, 1], seed=5), at_once=3, clean=False)[-1][-3:].tolist() == [1, 0, 1]


def test_without_anyone_to_found_a_speaker_there_is_one() -> None:
    assert heard(early_clustering(), voices([0, 1, 2]), clean=False)[-1].tolist() == [0, 0, 0]


def test_without_an_embedding_nothing_is_known() -> None:
    embeddings = voices([0, 0, 1])
    embeddings[1] = np.nan
    assert heard(early_clustering(), embeddings, at_once=3)[-1].tolist() == [0, UNKNOWN, 1]


def test_where_nobody_resembles_anybody_there_is_one() -> None:
    strangers = np.eye(DIMENSION, dtype=np.float32)[:20]
    assert heard(early_clustering(), strangers, at_once=20)[-1].tolist() == [0] * 20


def test_nothing_heard_is_nobody() -> None:
    assert early_clustering().labels().tolist() == []


def test_there_are_never_more_than_the_maximum() -> None:
    for labels in heard(early_clustering(maximum=2), voices(CONVERSATION)):
        assert labels.max() <= 1


def test_voices_that_are_alike_are_told_apart_where_as_many_are_announced() -> None:
    people = np.zeros((2, DIMENSION), np.float32)
    people[:, 0] = 1
    people[1, 1] = 0.7  # 0.6 from the other, less than the threshold
    turns = np.repeat([0, 1, 0, 1], 10)
    embeddings = people[turns] + voices(turns.tolist(), 0.1)[:, ::-1] * 0.01
    assert heard(early_clustering(), embeddings)[-1].max() == 0
    assert partition(heard(early_clustering(minimum=2), embeddings)[-1]) == partition(turns)


def test_one_voice_is_not_divided_because_more_people_are_to_come() -> None:
    assert heard(early_clustering(minimum=3), voices([0] * 40))[-1].max() == 0


@pytest.mark.parametrize("clean", [True, False])
def test_any_length_of_audio_is_held_in_a_few_hundred_groups(clean: bool) -> None:
    turns = np.random.default_rng(7).integers(4, size=200).repeat(10).tolist()
    clustering = early_clustering()
    for start in range(0, len(turns), 100):
        labels = heard(clustering, voices(turns[start : start + 100], 1.0, start), 50, clean)[-1]
        assert len(clustering._sums) <= early._MOST_GROUPS
        assert labels.max() <= (3 if clean else 0)
    if clean:
        assert partition(labels) == partition(np.array(turns))
