"""What it costs tokens to lie at frames, against the same computed utterance by utterance."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph
from asr_service.engines.ort.stages import Floats
from asr_service.engines.ort.whisper.alignment import Attention, add_costs, reflected
from support.whisper_reference import alignment_costs

HEADS, PROMPT, WINDOW = 3, 2, 40


@pytest.fixture(scope="session")
def session() -> onnxruntime.InferenceSession:
    graph = Graph("test")
    attention = Attention(
        prompt=graph.input("prompt", FLOAT, ("N", "heads", "before", "T")),
        steps=graph.input("steps", FLOAT, ("n", "N", "heads", "T")),
        counts=graph.input("counts", INT64, ("N",)),
        frames=graph.input("frames", INT64, ("N",)),
        mirror=graph.input("mirror", INT64, ("N", "places")),
    )
    graph.output("costs", add_costs(graph, attention), FLOAT)
    return onnxruntime.InferenceSession(graph.model().SerializeToString(), providers=["CPUExecutionProvider"])


def peaked(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Attention: positive, and 1 in all."""
    odds = np.exp(random.normal(scale=3, size=shape))
    return (odds / odds.sum(axis=-1, keepdims=True)).astype(np.float32)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(1, WINDOW), st.integers(0, 6)), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_a_row_costs_what_it_does_alone(
    session: onnxruntime.InferenceSession, rows: list[tuple[int, int]], seed: int
) -> None:
    frames, counts = (np.array(column) for column in zip(*rows, strict=True))
    random = np.random.default_rng(seed)
    prompt = peaked(random, (len(rows), HEADS, PROMPT - 1, WINDOW))
    steps = peaked(random, (counts.max() + 1, len(rows), HEADS, WINDOW))
    (costs,) = session.run(
        None,
        {
            "prompt": prompt,
            "steps": steps,
            "counts": counts,
            "frames": frames,
            "mirror": reflected(frames, frames.max()),
        },
    )
    assert costs.shape == (len(rows), frames.max(), counts.max() + 1)
    for row, (length, count) in enumerate(rows):
        own = np.concatenate([prompt[row], steps[: count + 1, row].swapaxes(0, 1)], axis=1)[:, :, :length]
        expected = alignment_costs(own)[PROMPT - 1 :]
        found = costs[row, :length, : count + 1].T
        assert found == pytest.approx(expected, abs=2e-4)


def test_frames_are_mirrored_at_each_rows_own_end() -> None:
    assert reflected(np.array([4, 6]), 6).tolist() == [
        [3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 0, 0],
        [3, 2, 1, 0, 1, 2, 3, 4, 5, 4, 3, 2],
    ]


def test_fewer_frames_than_a_median_wants_are_used_again() -> None:
    assert reflected(np.array([1, 2]), 2).tolist() == [[0] * 8, [1, 1, 1, 0, 1, 0, 0, 0]]
