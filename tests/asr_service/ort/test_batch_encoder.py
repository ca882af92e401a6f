"""A batch of any size goes through the encoder in parts, and comes out as one."""

from pathlib import Path

import numpy as np
import pytest

from asr_service.engines.onnx_header import read_header
from asr_service.engines.ort.batch_encoder import BatchEncoder
from asr_service.engines.ort.encoder import Signature
from asr_service.engines.ort.features import Stacked
from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.profiles import OutsideProfiles, Profile, Profiles, Range
from asr_service.engines.ort.runtime import Placement, Session

BINS, STRIDE = 5, 4


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Every fourth frame, doubled, and how many of them are a row's own."""
    graph = Graph("encoder")
    features = graph.input("x", FLOAT, ("N", "T", BINS))
    lengths = graph.input("x_lens", INT64, ("N",))
    every = [graph.ints([value]) for value in (0, 2**31, 1, STRIDE)]
    kept = graph.op("Slice", features, *every)
    graph.output("out", graph.op("Mul", kept, graph.floats(2.0)), FLOAT, ("N", "frames", BINS))
    graph.output("out_lens", graph.op("Div", lengths, graph.ints(STRIDE)), INT64, ("N",))
    graph.save(tmp_path / "encoder.onnx")
    return Session(tmp_path / "encoder.onnx", Placement())


class Counting:
    """Stands in for a session and notes how many rows each run had."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.runs: list[int] = []

    def run(self, inputs, **how):
        self.runs.append(len(inputs["x_lens"]))
        return self._session.run(inputs, **how)

    def __getattr__(self, name: str):
        return getattr(self._session, name)


def encoder(session: object, tmp_path: Path, rows: Range[int]) -> BatchEncoder:
    signature = Signature.of(read_header(tmp_path / "encoder.onnx"), 1, 1, STRIDE)
    profile = Profile(rows, Range(0.1, 1.0, 10.0))
    return BatchEncoder(signature, Lanes(Profiles((profile,)), {profile: session}))


def batch(rows: int, frames: int = 40) -> tuple[np.ndarray, np.ndarray]:
    values = np.random.default_rng(rows).standard_normal((rows, frames, BINS)).astype(np.float32)
    return values, np.arange(frames, frames - rows, -1)


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 8, 9, 11])
@pytest.mark.parametrize("least", [1, 3])
def test_parts_make_a_whole(session: Session, tmp_path: Path, rows: int, least: int) -> None:
    counting = Counting(session)
    features, lengths = batch(rows)
    encoded = encoder(counting, tmp_path, Range(least, 4, 4))(Stacked(features, lengths, 40), samples=16_000)
    frames = encoded.outputs["out"].numpy()
    np.testing.assert_array_equal(frames[:rows], 2 * features[:, ::STRIDE])
    assert encoded.lengths[:rows].tolist() == (lengths // STRIDE).tolist()
    assert len(encoded.lengths) == len(frames), "every row that the search sees has a length"
    assert all(least <= count <= 4 for count in counting.runs)


def test_the_size_of_the_frames_is_found_out_once_a_length(session: Session, tmp_path: Path) -> None:
    counting = Counting(session)
    encode = encoder(counting, tmp_path, Range(1, 4, 4))
    for frames in (40, 40, 24, 24):
        encode(Stacked(*batch(8, frames), frames), samples=16_000)
    assert len(counting.runs) == 4 * 2 + 2


def test_what_no_session_takes_is_refused(session: Session, tmp_path: Path) -> None:
    with pytest.raises(OutsideProfiles):
        encoder(session, tmp_path, Range(1, 4, 4))(Stacked(*batch(2), 40), samples=11 * 16_000)
