"""Recordings for diarization's stages, and networks that hear what is written into the samples.

A sample of such a recording is minus the number of who speaks, counted from 1, plus 32 times that of who else does: 0 is
silence, -3 person 2 alone, -35 persons 2 and 0.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from diarization_service.recording import Recording
from diarization_service.stages import Activity, Block, Floats, Geometry, Samples, Windows

GEOMETRY = Geometry(
    window=160_000,
    step=16_000,
    frames=589,
    speakers=3,
    dimension=32,
    frame_duration=991 / 16_000,
    frame_step=270 / 16_000,
    least_samples=400,
)
"""That of the models, except for the dimension."""

WRITTEN = 32 * 32
"""What is written into a sample is above minus this."""

_FULL_SCALE = 32_768
_SECOND = 16_000


def spoken(*spans: tuple[float, Sequence[int]]) -> bytes:
    """16-bit audio of spans of so many seconds in which these people speak, two at most."""
    pieces = [np.full(round(seconds * _SECOND), -_written(people), "<i2") for seconds, people in spans]
    return np.concatenate(pieces).tobytes()


def conversation(people: int, seconds: float, seed: int = 0) -> bytes:
    """A few seconds of one, two or no people at a time."""
    random = np.random.default_rng(seed)
    spans: list[tuple[float, Sequence[int]]] = []
    while sum(length for length, _ in spans) < seconds:
        count = min(people, int(random.choice([0, 1, 1, 1, 1, 2])))
        spans.append((random.uniform(0.3, 6.0), random.choice(people, count, replace=False).tolist()))
    return spoken(*spans)[: round(seconds * _SECOND) * 2]


class WrittenNetworks:
    """Hears in each window the first three people who speak in it, each as a local speaker.

    An embedding is the person's own direction, with noise that the window's samples determine.
    """

    geometry = GEOMETRY

    def __init__(self, block_windows: int = 1) -> None:
        self.block_windows = block_windows
        self.segmentation_batch = 8
        self.embedding_batch = 4

    def segment(self, windows: Windows) -> Activity:
        return np.stack([_heard(window)[0] for window in cut(windows)])

    def embed(self, blocks: list[Block]) -> list[Floats]:
        return [np.stack(list(map(_embeddings, cut(block), block.masks))) for block in blocks]


def cut(windows: Windows) -> list[Samples]:
    """Each window's audio."""
    return [windows.samples[start : start + GEOMETRY.window] for start in windows.starts]


def compute(recording: Recording, networks: WrittenNetworks) -> None:
    """Whatever is ready."""
    while recording.ready_windows or recording.ready_blocks:
        if recording.ready_windows:
            windows = recording.take_windows(networks.segmentation_batch)
            recording.accept_activity(networks.segment(windows))
        recording.accept_embeddings(networks.embed(recording.take_blocks(networks.embedding_batch)))


def _written(people: Sequence[int]) -> int:
    return sum((person + 1) * 32**place for place, person in enumerate(people))


def _heard(window: Floats) -> tuple[Activity, list[int]]:
    """Who is heard in each frame, shape (frames, local speakers), and which person each of them is."""
    middles = np.arange(GEOMETRY.frames) * 270 + 495
    written = -np.rint(window[middles] * _FULL_SCALE).astype(np.int64)
    speaking = np.stack([written % 32, written // 32], axis=1)
    persons = [int(person) - 1 for person in dict.fromkeys(speaking.ravel().tolist()) if person]
    activity = np.zeros((GEOMETRY.frames, GEOMETRY.speakers), np.uint8)
    for place, person in enumerate(persons[: GEOMETRY.speakers]):
        activity[:, place] = (speaking == person + 1).any(axis=1)
    return activity, persons


def _embeddings(window: Floats, masks: Floats) -> Floats:
    found = np.full((GEOMETRY.speakers, GEOMETRY.dimension), np.nan, np.float32)
    noise = np.random.default_rng(zlib.crc32(window.tobytes())).standard_normal(found.shape)
    for place, person in enumerate(_heard(window)[1][: GEOMETRY.speakers]):
        if masks[place].any():
            found[place] = direction(person) + 0.1 * noise[place]
    return found


def direction(person: int) -> Floats:
    """What the person's voice is like."""
    axis: Floats = np.zeros(GEOMETRY.dimension, np.float32)
    axis[person] = 1
    return axis
