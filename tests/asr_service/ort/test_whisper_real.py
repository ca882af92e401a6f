"""Whisper tiny.en on real speech: what sherpa-onnx says with the same files, word for word and frame for frame.

In 8 bits only on clear speech: there the words of sherpa-onnx itself change with a noise far below what 16 bits hold, since
it moves activations from one integer to the next. So what follows the encoder is compared by itself as well.
"""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from asr_service.engines.base import Recognition, Samples, Speech
from asr_service.engines.ort.features import SherpaWhisperFeatures
from asr_service.engines.ort.runtime import Placement, Session
from asr_service.engines.ort.whisper.pipeline import WhisperPipeline
from asr_service.engines.ort.whisper.search import WhisperSearch
from asr_service.engines.sherpa import SherpaEngine
from benchmarks.corpus import clips, conversation
from serving.models.store import ModelStore
from serving.times import SAMPLE_RATE
from support.whisper import WINDOW, text, whisper
from support.whisper_reference import alignment_costs, first_frames, prompt_of, search

pytestmark = pytest.mark.models

FRAME = 0.02
SUFFIXES = {"fp32": ".onnx", "int8": ".int8.onnx"}


def folder(precision: str) -> Path:
    return ModelStore().path("whisper-tiny.en" if precision == "int8" else "whisper-tiny.en-fp32")


def pipeline(precision: str, **options: int) -> WhisperPipeline:
    return whisper(folder(precision), suffix=SUFFIXES[precision], **options)


def sherpa(precision: str) -> SherpaEngine:
    return SherpaEngine(folder(precision), precision="int8" if precision == "int8" else "fp32", threads=1)


@pytest.fixture(scope="module")
def read_aloud() -> list[Samples]:
    """Clear speech: ten sentences by two readers."""
    return [recording.samples.astype(np.float32) / 32768 for recording in clips()[:10]]


@pytest.fixture(scope="module")
def difficult(sample: Samples) -> list[Samples]:
    """A telephone conversation, and sentences with pauses between them."""
    joined = conversation(40).samples.astype(np.float32) / 32768
    pieces = [(sample, 6, 29), (sample, 10, 20), (sample, 12, 14), (joined, 0, 20), (joined, 20, 40)]
    return [samples[start * SAMPLE_RATE : end * SAMPLE_RATE] for samples, start, end in pieces]


def frames(recognition: Recognition) -> list[int]:
    return [round((token.start or 0.0) / FRAME) for token in recognition.tokens]


def differences(precision: str, batch: list[Samples]) -> list[int]:
    """By how many frames the tokens' starts differ; the tokens themselves may not."""
    ours, theirs = pipeline(precision), sherpa(precision)
    off = []
    for samples in batch:
        (heard,), (expected,) = ours.recognize([Speech(samples)]), theirs.recognize([Speech(samples)])
        assert [token.text for token in heard.tokens] == [token.text for token in expected.tokens]
        off += [abs(a - b) for a, b in zip(frames(heard), frames(expected), strict=True)]
    return off


def test_full_precision_equals_sherpa_onnx(read_aloud: list[Samples], difficult: list[Samples]) -> None:
    # One of 541 measured: features that differ by a rounding, on a path that is as good as another.
    off = differences("fp32", [*read_aloud, *difficult])
    assert max(off) <= 1
    assert sum(off) <= 3


def test_8_bits_equal_sherpa_onnx_on_clear_speech(read_aloud: list[Samples]) -> None:
    off = differences("int8", read_aloud)
    assert sum(by <= 1 for by in off) >= 0.95 * len(off)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_search_equals_the_plain_one_on_the_same_audio(precision: str, sample: Samples) -> None:
    samples = sample[6 * SAMPLE_RATE : 16 * SAMPLE_RATE]
    directory, suffix, front_end = folder(precision), SUFFIXES[precision], SherpaWhisperFeatures()
    encoder = Session(directory / f"encoder{suffix}", Placement())
    mel = front_end(samples).T[None]
    cross = list(encoder.run({"mel": mel}).values())
    heard = front_end.heard(len(samples))
    expected = search(
        onnxruntime.InferenceSession(directory / f"decoder{suffix}", providers=["CPUExecutionProvider"]),
        [value.numpy() for value in cross],
        prompt_of(encoder.metadata),
        end=int(encoder.metadata["eot"]),
        limit=heard * 6 // 100,
    )
    found = WhisperSearch(directory / f"decoder{suffix}", encoder.metadata, Placement())(
        cross, np.array([heard]), [None]
    )
    assert len(expected.tokens) > 20
    assert found.tokens.tolist() == [expected.tokens]
    assert found.log_probs[0] == pytest.approx(expected.log_probs, abs=1e-4)
    costs = alignment_costs(expected.weights[:, :, : heard // 2])[1:]
    assert [*found.frames[0], found.frames[0, -1] + found.durations[0, -1]] == first_frames(costs)


def test_rows_of_a_batch_are_as_if_alone(read_aloud: list[Samples], difficult: list[Samples]) -> None:
    windowed = pipeline("fp32", tail=WINDOW)
    batch = [Speech(samples) for samples in (*read_aloud[:3], difficult[1])]
    together = windowed.recognize(batch)
    alone = [windowed.recognize([speech])[0] for speech in batch]
    assert [text(found) for found in together] == [text(found) for found in alone]
    assert [frames(found) for found in together] == [frames(found) for found in alone]


def test_8_bits_make_rows_depend_on_each_other() -> None:
    searches = {
        precision: WhisperSearch(
            folder(precision) / f"decoder{SUFFIXES[precision]}",
            Session(folder(precision) / f"encoder{SUFFIXES[precision]}", Placement()).metadata,
            Placement(),
        )
        for precision in SUFFIXES
    }
    assert {precision: search.rows_are_independent for precision, search in searches.items()} == {
        "fp32": True,
        "int8": False,
    }
