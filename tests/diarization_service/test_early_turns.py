"""Turns while audio arrives: as early as promised, and however often they were patched, the same as computed at once."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.deterministic.written import GEOMETRY, WrittenNetworks, compute, conversation, spoken
from diarization_service.clustering import Mask
from diarization_service.counting import Integers
from diarization_service.early_turns import Early
from diarization_service.recording import Recording
from diarization_service.runs import Run, Track, spliced
from diarization_service.stages import Floats
from serving.speakers import SpeakerBounds

ANYONE = SpeakerBounds()
SECOND = 2 * 16_000


class ByDirection:
    """Names local speakers by where their embeddings point; on demand, all those of one person anew."""

    def __init__(self) -> None:
        self.renamed: dict[int, int] = {}
        self._labels: list[int] = []

    def add(self, embeddings: Floats, clean: Mask) -> None:
        assert len(embeddings) == len(clean) > 0
        self._labels.extend(np.argmax(embeddings, axis=1).tolist())

    def labels(self) -> Integers:
        return np.array([self.renamed.get(label, label) for label in self._labels], np.int64)


def heard(
    audio: bytes, clustering: ByDirection, seconds: float, *, block_windows: int = 1
) -> Iterator[Early | None]:
    """What is known after each piece of so many seconds."""
    networks = WrittenNetworks(block_windows)
    recording = Recording(GEOMETRY, ANYONE, clustering, block_windows)
    piece = round(seconds * SECOND)
    for start in range(0, len(audio), piece):
        recording.feed(audio[start : start + piece])
        compute(recording, networks)
        yield recording.early()


def rounded(tracks: tuple[Track, ...]) -> list[tuple[float, float, int]]:
    return [(round(track.start, 1), round(track.end, 1), track.speaker) for track in tracks]


@pytest.mark.parametrize("block_windows", [1, 50])
def test_the_first_label_comes_within_fifteen_seconds(block_windows: int) -> None:
    audio = spoken((2.0, [3]), (13.0, []))
    known = [early for early in heard(audio, ByDirection(), 1.0, block_windows=block_windows) if early]
    assert [(round(track.start, 1), track.speaker) for track in known[0].tracks] == [(0.0, 3)]


def test_turns_reach_the_horizon_and_grow_with_it() -> None:
    horizons = []
    for early in heard(spoken((30.0, [0])), ByDirection(), 5.0):
        if early is not None:
            assert [(track.start < 0.1, track.end) for track in early.tracks] == [(True, early.horizon)]
            assert early.tracks[0].confidence is None
            assert early.exclusive == early.tracks
            horizons.append(round(early.horizon))
    assert horizons == [5, 10, 11, 16, 21]


@pytest.mark.parametrize("seconds", [1.0, 3.7])
def test_pieces_give_the_turns_that_the_whole_gives(seconds: float) -> None:
    audio = conversation(4, 70.0, seed=5)
    [whole] = heard(audio, ByDirection(), 70.0)
    *_, last = heard(audio, ByDirection(), seconds)
    assert whole is not None
    assert len(whole.tracks) > 10
    assert last == whole


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_however_often_names_changed_only_the_last_ones_count(seed: int) -> None:
    random = np.random.default_rng(seed)
    audio = conversation(4, 60.0, seed=6)
    changing, settled = ByDirection(), ByDirection()
    networks, recording = WrittenNetworks(), Recording(GEOMETRY, ANYONE, changing)
    last = None
    for start in range(0, len(audio), 3 * SECOND):
        changing.renamed[int(random.integers(4))] = int(random.integers(6))
        recording.feed(audio[start : start + 3 * SECOND])
        compute(recording, networks)
        last = recording.early() or last
    settled.renamed = changing.renamed
    [whole] = heard(audio, settled, 60.0)
    assert last == whole


def test_turns_that_stay_are_the_same_objects_and_silence_moves_the_horizon() -> None:
    before, after = [known for known in heard(spoken((12.0, [1]), (18.0, [])), ByDirection(), 15.0) if known]
    assert before.tracks != after.tracks
    *_, before, after = [
        known for known in heard(spoken((8.0, [1]), (32.0, [])), ByDirection(), 5.0) if known
    ]
    assert before.tracks[0] is after.tracks[0]
    assert before.horizon < after.horizon


def test_nothing_new_is_not_said() -> None:
    recording = Recording(GEOMETRY, ANYONE, ByDirection())
    assert recording.early() is None
    recording.feed(spoken((12.0, [0])))
    compute(recording, WrittenNetworks())
    assert recording.early() is not None
    recording.feed(spoken((0.5, [0])))
    assert recording.early() is None
    assert Recording(GEOMETRY, ANYONE).early() is None


def test_whoever_is_named_anew_is_so_wherever_they_speak() -> None:
    audio = spoken((6.0, [0]), (6.0, [1]), (20.0, [2]), (6.0, [1]), (20.0, [0]))
    clustering, networks = ByDirection(), WrittenNetworks()
    recording = Recording(GEOMETRY, ANYONE, clustering)
    recording.feed(audio)
    compute(recording, networks)
    before = recording.early()
    clustering.renamed[1] = 4
    after = recording.early()
    assert before is not None
    assert after is not None
    assert rounded(before.tracks) == [
        (0.0, 6.0, 0),
        (6.0, 12.0, 1),
        (12.0, 32.0, 2),
        (32.0, 38.0, 1),
        (38.0, 49.0, 0),
    ]
    assert [track.speaker for track in after.tracks] == [0, 4, 2, 4, 0]
    assert [track[:2] for track in after.tracks] == [track[:2] for track in before.tracks]
    assert [a is b for a, b in zip(before.tracks, after.tracks, strict=True)] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_stretch_takes_the_place_of_what_was_there() -> None:
    old = [Run(0, 10, 0, 0.0), Run(5, 40, 1, 0.0), Run(50, 60, 0, 0.0)]
    new = [Run(20, 25, 0, 0.0), Run(20, 22, 1, 0.0), Run(28, 30, 1, 0.0)]
    assert spliced(old, new, 20, 30) == [
        Run(0, 10, 0, 0.0),
        Run(5, 22, 1, 0.0),
        Run(20, 25, 0, 0.0),
        Run(28, 40, 1, 0.0),
        Run(50, 60, 0, 0.0),
    ]
    assert spliced(old, [], 0, 60) == []
