"""The same files in sherpa-onnx and in ort, on a CPU, give the same tokens at the same times.

Small models with random weights, over many utterances of real speech in noise. Random weights leave more near ties between
tokens than trained ones, and the engines' versions of ONNX Runtime round differently: where they disagree, a change of the
samples in their last bits must make ort say what sherpa-onnx says.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from asr_service.engines import EngineName, load
from asr_service.engines.base import Engine, Recognition, Samples, Speech
from asr_service.engines.ort.features.kaldi import frames
from asr_service.engines.ort.pipeline import MIN_SAMPLES
from serving.times import SAMPLE_RATE
from support.random_models import SHERPA_ONNX, write
from support.utterances import LONGEST, SHORTEST, utterances

COUNT = 200
MOST_TIES = 6
"""Of COUNT. None to three were measured."""
ROUNDING = 3e-7
"""Of the samples' deviation; single precision keeps 6e-8."""
TRIES = 12

NEMO_CTC = {"fastconformer-ctc": 8, "citrinet": 8, "quartznet": 2, "jasper": 2}
"""Feature frames to one of the encoder's."""

Said = list[tuple[bytes, float | None, float | None]]


@pytest.fixture(scope="module", params=SHERPA_ONNX)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def directory(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(SHERPA_ONNX[name], tmp_path_factory.mktemp("parity") / name)


@pytest.fixture(scope="module")
def heard(sample: Samples) -> list[Samples]:
    found = utterances(sample, COUNT, seed=1)
    lengths = [len(each) / SAMPLE_RATE for each in found]
    assert (min(lengths), max(lengths)) == (SHORTEST, LONGEST)
    return found


@pytest.fixture(scope="module")
def engine(directory: Path) -> Engine:
    return open_engine(directory, "ort")


@pytest.fixture(scope="module")
def found(engine: Engine, heard: list[Samples]) -> list[Said]:
    return one_by_one(engine, heard)


@pytest.fixture(scope="module")
def expected(directory: Path, heard: list[Samples]) -> list[Said]:
    return one_by_one(open_engine(directory, "sherpa"), heard)


def open_engine(directory: Path, engine: EngineName) -> Engine:
    return load(directory, precision="fp32", threads=1, engine=engine)


def one_by_one(engine: Engine, heard: Sequence[Samples]) -> list[Said]:
    with ThreadPoolExecutor(2) as pool:
        return [said(found) for (found,) in pool.map(lambda each: engine.recognize([Speech(each)]), heard)]


def said(found: Recognition) -> Said:
    return [(token.text, token.start, token.duration) for token in found.tokens]


def is_near_tie(name: str, engine: Engine, samples: Samples, expected: Said) -> bool:
    """Whether samples that differ in their last bits give `expected`."""
    noise = np.random.default_rng(0).normal(scale=ROUNDING * samples.std(), size=(TRIES, len(samples)))
    found = one_by_one(engine, [samples + each.astype(np.float32) for each in noise])
    return expected in [kept_by_sherpa_onnx(name, samples, each) for each in found]


def kept_by_sherpa_onnx(name: str, samples: Samples, found: Said) -> Said:
    """Without what it does not decode."""
    if name not in NEMO_CTC:
        return found
    subsampling = NEMO_CTC[name]
    decoded = frames(max(len(samples), MIN_SAMPLES)) // subsampling
    return [token for token in found if round((token[1] or 0) / (0.01 * subsampling)) < decoded]


def test_tokens_and_times_are_sherpa_onnxs(
    name: str, engine: Engine, heard: list[Samples], found: list[Said], expected: list[Said]
) -> None:
    ours = [kept_by_sherpa_onnx(name, *pair) for pair in zip(heard, found, strict=True)]
    differing = [place for place in range(COUNT) if ours[place] != expected[place]]
    assert len(differing) <= MOST_TIES
    for place in differing:
        assert is_near_tie(name, engine, heard[place], expected[place]), (ours[place], expected[place])


def test_hypotheses_are_long_and_varied(heard: list[Samples], expected: list[Said]) -> None:
    """Else parity would say little."""
    seconds = sum(map(len, heard)) / SAMPLE_RATE
    tokens = [text for each in expected for text, *_ in each]
    assert len(tokens) > 2 * seconds
    assert len(set(tokens)) > 20


@pytest.mark.parametrize("name", NEMO_CTC, indirect=True)
def test_sherpa_onnx_drops_the_last_frame_of_nemos_ctc(
    name: str, heard: list[Samples], found: list[Said], expected: list[Said]
) -> None:
    """It divides feature frames by the subsampling factor and rounds down, where the model's strided convolutions round
    up; of NeMo's transducers it decodes all frames. A word's last token can be lost. ort keeps it.
    """
    longer = [len(ours) - len(theirs) for ours, theirs in zip(found, expected, strict=True)]
    whole = [frames(max(len(each), MIN_SAMPLES)) % NEMO_CTC[name] == 0 for each in heard]
    assert {more for more, is_whole in zip(longer, whole, strict=True) if is_whole} == {0}
    assert sum(longer) > 0
