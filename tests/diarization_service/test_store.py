"""What is kept of the networks' results: all of it, in little memory."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.deterministic.written import GEOMETRY
from diarization_service.counting import Grid, SpeakerCount
from diarization_service.reconstruction import NamedWindows, named_by, runs
from diarization_service.rows import Rows
from diarization_service.store import Store

HOUR = 3600 - 9
"""Windows."""
BATCH = 128


def test_activity_and_embeddings_come_back_as_they_went_in() -> None:
    random = np.random.default_rng(1)
    activity = (random.random((30, GEOMETRY.frames, GEOMETRY.speakers)) < 0.4).astype(np.uint8)
    activity[:, :, 2] = 0
    activity[5] = 0
    embeddings = random.standard_normal((30, GEOMETRY.speakers, GEOMETRY.dimension)).astype(np.float32)
    store = Store(GEOMETRY)
    for windows in (range(11), range(11, 12), range(12, 30)):
        store.add_activity(activity[windows.start : windows.stop])
        store.add_embeddings(windows, embeddings[windows.start : windows.stop])
    np.testing.assert_array_equal(store.activity(range(30)), activity)
    np.testing.assert_array_equal(store.activity(range(7, 9)), activity[7:9])
    np.testing.assert_array_equal(store.embeddings, embeddings[activity.any(axis=1)])
    assert store.windows == 30
    assert not store.speaking[5].any()


def test_a_table_does_not_grow_under_a_view() -> None:
    table = Rows(2, np.float32)
    table.append(np.ones((3, 2), np.float32))
    view = table.rows
    with pytest.raises(BufferError):
        table.grow(1000)
    np.testing.assert_array_equal(view, np.ones((3, 2)))


def test_an_hour_and_its_reconstruction_take_a_tenth_of_what_ten_hours_may() -> None:
    geometry = replace(GEOMETRY, dimension=256)
    grid = Grid(geometry)
    random = np.random.default_rng(2)
    # Turns of two seconds and more, in which any of three people may speak, two at a time on average.
    timeline = (random.random((grid.frames(HOUR) // 120 + 1, 3)) < 0.6).repeat(120, axis=0).astype(np.uint8)
    embeddings = random.standard_normal((BATCH, 3, 256)).astype(np.float32)
    tracemalloc.start()
    try:
        store, count = Store(geometry), SpeakerCount(geometry)
        for start in range(0, HOUR, BATCH):
            windows = range(start, min(start + BATCH, HOUR))
            frames = grid.first_frames(windows)[:, None] + np.arange(geometry.frames)
            store.add_activity(timeline[frames])
            count.add(timeline[frames])
            store.add_embeddings(windows, embeddings[: len(windows)])
        labels = np.nonzero(store.speaking)[1]
        named = NamedWindows(grid, store.activity, named_by(labels, store.speaking))
        together, alone = runs(named, count.counts(0, grid.frames(store.windows)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert store.windows == HOUR
    assert len(store.embeddings) > 2 * HOUR
    assert min(len(together), len(alone)) > 900
    assert peak < 200e6 / 10
