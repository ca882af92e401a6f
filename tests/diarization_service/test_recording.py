"""A recording's state: whatever the chunks, batches and threads, the same answer; and audio kept only while it is needed."""

from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.deterministic.written import (
    GEOMETRY,
    WrittenNetworks,
    compute,
    conversation,
    cut,
    direction,
    spoken,
)
from diarization_service.final_turns import Answer
from diarization_service.recording import Recording
from diarization_service.runs import Track
from diarization_service.stages import Block, Floats, Windows
from serving.speakers import SpeakerBounds

SECOND = 2 * 16_000
ANYONE = SpeakerBounds()


class RememberingNetworks(WrittenNetworks):
    def __init__(self, block_windows: int = 1) -> None:
        super().__init__(block_windows)
        self.embedded: list[Block] = []

    def embed(self, blocks: list[Block]) -> list[Floats]:
        self.embedded.extend(blocks)
        return super().embed(blocks)


def answered(
    audio: bytes,
    chunk: int | None = None,
    *,
    bounds: SpeakerBounds = ANYONE,
    networks: WrittenNetworks | None = None,
    computing_as_it_arrives: bool = True,
) -> Answer:
    networks = networks or WrittenNetworks()
    recording = Recording(GEOMETRY, bounds, block_windows=networks.block_windows)
    chunk = chunk or max(1, len(audio))
    for start in range(0, len(audio), chunk):
        recording.feed(audio[start : start + chunk])
        if computing_as_it_arrives:
            compute(recording, networks)
    recording.end()
    compute(recording, networks)
    assert recording.finished
    return recording.answer()


def rounded(tracks: tuple[Track, ...]) -> list[tuple[float, float, int]]:
    return [(round(track.start, 1), round(track.end, 1), track.speaker) for track in tracks]


@pytest.fixture(scope="module")
def three_people() -> tuple[bytes, Answer]:
    audio = conversation(3, 47.3)
    return audio, answered(audio)


@pytest.mark.parametrize("milliseconds", [20, 333, 1_000, 4_000, 10_000])
def test_how_audio_arrives_does_not_change_the_answer(
    milliseconds: int, three_people: tuple[bytes, Answer]
) -> None:
    audio, expected = three_people
    assert len(expected.tracks) > 5
    found = answered(audio, milliseconds * SECOND // 1000)
    assert (found.tracks, found.exclusive) == (expected.tracks, expected.exclusive)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), block_windows=st.sampled_from([1, 3, 50]))
def test_neither_does_the_order_in_which_it_is_computed(
    seed: int, block_windows: int, three_people: tuple[bytes, Answer]
) -> None:
    audio, expected = three_people
    found = computed_in_any_order(np.random.default_rng(seed), audio, WrittenNetworks(block_windows))
    assert (found.tracks, found.exclusive) == (expected.tracks, expected.exclusive)


def computed_in_any_order(random: np.random.Generator, audio: bytes, networks: WrittenNetworks) -> Answer:
    """Batches of any size, several of them under way at once."""
    recording = Recording(GEOMETRY, ANYONE, block_windows=networks.block_windows)
    windows: deque[Windows] = deque()
    blocks: deque[list[Block]] = deque()
    while not recording.finished:
        match random.integers(5):
            case 0 if audio:
                size = int(random.integers(1, 10 * SECOND))
                recording.feed(audio[:size])
                audio = audio[size:]
                if not audio:
                    recording.end()
            case 1 if recording.ready_windows:
                windows.append(recording.take_windows(int(random.integers(1, 20))))
            case 2 if windows:
                recording.accept_activity(networks.segment(windows.popleft()))
            case 3 if recording.ready_blocks:
                blocks.append(recording.take_blocks(int(random.integers(1, 20))))
            case 4 if blocks:
                recording.accept_embeddings(networks.embed(blocks.popleft()))
    return recording.answer()


@pytest.mark.parametrize("block_windows", [1, 7, 50])
def test_blocks_lie_the_same_however_audio_arrives(block_windows: int) -> None:
    audio = conversation(2, 38.0, seed=3)
    blocks = []
    for chunk in (3_333, None):
        networks = RememberingNetworks(block_windows)
        answered(audio, chunk, networks=networks, computing_as_it_arrives=chunk is not None)
        blocks.append([[window.tobytes() for window in cut(block)] for block in networks.embedded])
        assert max(len(block.starts) for block in networks.embedded) <= block_windows
    assert blocks[0] == blocks[1]


def test_who_speaks_is_who_was_written() -> None:
    found = answered(spoken((6.0, [0]), (3.0, []), (6.0, [1]), (2.0, [1, 0]), (9.0, [0])))
    first, second = found.tracks[0].speaker, found.tracks[1].speaker
    assert rounded(found.tracks) == [
        (0.0, 6.0, first),
        (9.0, 17.0, second),
        (15.0, 26.0, first),
    ]
    assert all(track.confidence == pytest.approx(1, abs=0.05) for track in found.tracks)
    for speaker, person in ((first, 0), (second, 1)):
        voice = found.voices[speaker] / np.linalg.norm(found.voices[speaker])
        assert voice @ direction(person) > 0.95


def test_exclusive_turns_do_not_overlap_and_cover_the_same_time(
    three_people: tuple[bytes, Answer],
) -> None:
    _, found = three_people
    assert any(after.start < before.end for before, after in pairwise(found.tracks))
    assert all(after.start >= before.end for before, after in pairwise(found.exclusive))
    assert covered(found.tracks) == pytest.approx(covered(found.exclusive))


def covered(tracks: tuple[Track, ...]) -> float:
    total = reached = 0.0
    for track in tracks:
        total += max(0.0, track.end - max(track.start, reached))
        reached = max(reached, track.end)
    return total


@pytest.mark.parametrize("audio", [b"", spoken((0.02, [])), spoken((4.0, [])), spoken((31.0, []))])
def test_nobody_speaks_in_silence_and_nothing_is_embedded(audio: bytes) -> None:
    networks = RememberingNetworks()
    assert answered(audio, networks=networks) == Answer()
    assert not networks.embedded


def test_a_recording_shorter_than_a_window_is_one_window() -> None:
    found = answered(spoken((2.0, [4]), (1.0, [])))
    assert rounded(found.tracks) == [(0.0, 2.0, 0)]
    assert found.exclusive == found.tracks


def test_one_speaker_is_one_speaker() -> None:
    found = answered(spoken((40.0, [0])))
    assert [(track.start < 0.1, track.end > 39.9) for track in found.tracks] == [(True, True)]


def test_twenty_speakers_are_told_apart() -> None:
    audio = spoken(*((18.0, [person]) for person in range(20)))
    found = answered(audio)
    assert [round(track.start) for track in found.tracks] == [18 * person for person in range(20)]
    assert len({track.speaker for track in found.tracks}) == 20
    assert len(found.voices) == 20


@pytest.mark.parametrize(
    ("bounds", "speakers"),
    [
        (SpeakerBounds(1, 1), 1),
        (SpeakerBounds(2, 2), 2),
        (SpeakerBounds(None, 2), 2),
        (SpeakerBounds(2, None), 3),
    ],
)
def test_bounds_are_kept_and_nobody_speaks_beyond_them_at_once(bounds: SpeakerBounds, speakers: int) -> None:
    audio = spoken((30.0, [0]), (20.0, [1, 2]), (30.0, [1]), (30.0, [2]))
    found = answered(audio, bounds=bounds)
    assert len({track.speaker for track in found.tracks}) == speakers
    if bounds.maximum == 1:
        assert found.tracks == found.exclusive


def test_audio_is_dropped_once_no_window_needs_it() -> None:
    networks = WrittenNetworks()
    recording = Recording(GEOMETRY, ANYONE)
    most = 0
    audio = conversation(2, 60.0)
    for start in range(0, len(audio), SECOND // 2):
        recording.feed(audio[start : start + SECOND // 2])
        compute(recording, networks)
        most = max(most, recording.held)
    assert most <= GEOMETRY.window + GEOMETRY.step
    assert recording.received == 60 * 16_000


def test_progress_counts_windows_that_are_through() -> None:
    networks = WrittenNetworks()
    recording = Recording(GEOMETRY, ANYONE)
    recording.feed(spoken((11.5, [0]), (4.0, []), (10.0, [])))
    assert (recording.windows, recording.segmented, recording.embedded) == (16, 0, 0)
    recording.accept_activity(networks.segment(recording.take_windows(14)))
    assert (recording.segmented, recording.embedded, recording.ready_blocks) == (14, 0, 12)
    recording.accept_embeddings(networks.embed(recording.take_blocks(3)))
    assert recording.embedded == 3
    recording.end()
    assert recording.windows == 17
    compute(recording, networks)
    assert (recording.segmented, recording.embedded, recording.finished) == (17, 17, True)


def test_results_of_what_was_not_taken_are_refused() -> None:
    recording = Recording(GEOMETRY, ANYONE)
    recording.feed(spoken((10.0, [0])))
    activity = WrittenNetworks().segment(Windows(np.zeros(GEOMETRY.window, np.float32), (0,)))
    with pytest.raises(ValueError, match="windows that were not taken"):
        recording.accept_activity(activity)
    with pytest.raises(ValueError, match="blocks that were not taken"):
        recording.accept_embeddings([np.zeros((1, 3, GEOMETRY.dimension), np.float32)])
    with pytest.raises(ValueError, match="before everything was computed"):
        recording.answer()
    recording.end()
    with pytest.raises(ValueError, match="after the end"):
        recording.feed(b"")


def test_taking_and_giving_nothing_changes_nothing() -> None:
    recording, networks = Recording(GEOMETRY, ANYONE), WrittenNetworks()
    assert len(recording.take_windows(8)) == 0
    recording.accept_activity(np.zeros((0, GEOMETRY.frames, GEOMETRY.speakers), np.uint8))
    recording.accept_embeddings(networks.embed(recording.take_blocks(8)))
    assert (recording.windows, recording.segmented, recording.embedded) == (0, 0, 0)


def test_what_check_raises_ends_the_answer() -> None:
    class GivenUpError(Exception):
        pass

    def give_up() -> None:
        raise GivenUpError

    recording = Recording(GEOMETRY, ANYONE)
    recording.feed(spoken((30.0, [0])))
    recording.end()
    compute(recording, WrittenNetworks())
    with pytest.raises(GivenUpError):
        recording.answer(give_up)
