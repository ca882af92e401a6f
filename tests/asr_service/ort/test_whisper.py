"""Whisper on small models of sherpa-onnx's layout: words, languages, times, and rows that know nothing of each other."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime import RunOptions

from asr_service.engines.base import Recognition, Speech, Stopped
from asr_service.engines.ort.graphs.builder import BOOL, FLOAT, INT64, Graph
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.whisper.opening import open_graph
from asr_service.engines.ort.whisper.pipeline import WhisperPipeline
from serving.times import SAMPLE_RATE
from support.tiny_models import bursts
from support.tiny_models import whisper as tiny
from support.tiny_models.phrase import words
from support.whisper import WINDOW, text, whisper

LANGUAGES = ("en", "de", "fr")
FRAME = 0.02


@pytest.fixture(scope="session")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("english")
    tiny.write(directory)
    return directory


@pytest.fixture(scope="session")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("multilingual")
    tiny.write(directory, languages=LANGUAGES)
    return directory


@pytest.fixture(scope="session")
def pipeline(english: Path) -> WhisperPipeline:
    return whisper(english)


@pytest.fixture(scope="session")
def windowed(english: Path) -> WhisperPipeline:
    """As on a GPU: all utterances are padded to 30 s."""
    return whisper(english, tail=WINDOW)


def apart(count: int) -> list[float]:
    return [0.4 + 0.6 * number for number in range(count)]


def utterance(count: int, *, seconds: float | None = None, language: str | None = None) -> Speech:
    return Speech(bursts(apart(count), seconds or 1 + 0.6 * count), language)


def measured(recognition: Recognition) -> list[tuple[bytes, float | None, float | None]]:
    return [(token.text, token.start, token.duration) for token in recognition.tokens]


def phrase(count: int, *, shift: int = 0) -> str:
    return "".join(f" {word}" for word, _ in words(count, shift=shift))


def test_says_a_piece_for_each_burst(pipeline: WhisperPipeline) -> None:
    (heard,) = pipeline.recognize([utterance(8)])
    assert text(heard) == phrase(8)


def test_times_are_those_of_the_bursts(pipeline: WhisperPipeline) -> None:
    (heard,) = pipeline.recognize([utterance(5)])
    starts = [token.start for token in heard.tokens]
    # Cross-attention gives the silence at the beginning to the first token.
    assert starts == pytest.approx([0.0, *apart(5)[1:]], abs=2 * FRAME)
    ends = [token.start + token.duration for token in heard.tokens]
    assert ends[:-1] == pytest.approx(starts[1:], abs=1e-5)
    assert ends[-1] <= 4.0


def test_probabilities_are_the_models_own(pipeline: WhisperPipeline) -> None:
    (heard,) = pipeline.recognize([utterance(6)])
    found = [math.exp(token.log_prob) for token in heard.tokens]
    vocabulary = tiny.vocabulary()
    assert found == pytest.approx([vocabulary.probability(burst) for burst in range(6)], abs=0.002)


def test_silence_has_no_words(pipeline: WhisperPipeline) -> None:
    heard = pipeline.recognize([utterance(0), utterance(0)])
    assert [found.tokens for found in heard] == [(), ()]


def test_says_no_more_than_six_tokens_a_second(pipeline: WhisperPipeline) -> None:
    (heard,) = pipeline.recognize([Speech(bursts(np.arange(0.02, 0.98, 0.08), 1.0, length=0.04))])
    assert len(heard.tokens) == 6


def test_a_blink_is_heard(pipeline: WhisperPipeline) -> None:
    (heard,) = pipeline.recognize([Speech(bursts([0.0], 0.1))])
    assert text(heard) == phrase(1)


def test_decoders_without_attention_give_no_times(tmp_path: Path) -> None:
    tiny.write(tmp_path, cross_attention=False)
    heard = whisper(tmp_path).recognize([utterance(4), utterance(4)])
    assert [text(found) for found in heard] == [phrase(4)] * 2
    assert {(token.start, token.duration) for found in heard for token in found.tokens} == {(None, None)}


def test_each_row_speaks_its_own_language(multilingual: Path) -> None:
    pipeline = whisper(multilingual)
    rows = [utterance(7, language=language) for language in ("fr", "en", "de", "en")]
    heard = pipeline.recognize(rows)
    assert [text(found).strip() for found in heard] == [
        phrase(7, shift=shift).strip() for shift in (2, 0, 1, 0)
    ]
    assert [measured(found) for found in heard] == [measured(pipeline.recognize([row])[0]) for row in rows]


@pytest.mark.parametrize(("likeliest", "shift"), [(None, 0), ("de", 1), ("fr", 2)])
def test_an_unknown_language_is_detected(tmp_path: Path, likeliest: str | None, shift: int) -> None:
    """Of equally likely ones the first is taken, as by sherpa-onnx."""
    tiny.write(tmp_path, languages=LANGUAGES, likeliest=likeliest)
    rows = [utterance(7, language=language) for language in (None, "en", None)]
    heard = whisper(tmp_path).recognize(rows)
    assert [text(found).strip() for found in heard] == [
        phrase(7, shift=expected).strip() for expected in (shift, 0, shift)
    ]


def test_only_utterances_of_equal_frames_share_a_bucket(pipeline: WhisperPipeline) -> None:
    short, same, long = (Speech(np.zeros(count, np.float32)) for count in (16_000, 16_040, 17_000))
    assert pipeline.bucket(short) == pipeline.bucket(same) < pipeline.bucket(long)
    assert pipeline.padded(short) == pytest.approx(11.0)


def test_all_utterances_share_the_window(windowed: WhisperPipeline) -> None:
    rows = [Speech(np.zeros(count, np.float32)) for count in (100, 16_000, 29 * SAMPLE_RATE)]
    assert len({windowed.bucket(row) for row in rows}) == 1
    assert {windowed.padded(row) for row in rows} == {30.0}


COUNTS = st.integers(0, 9)


@settings(deadline=None, max_examples=30)
@given(batch=st.lists(st.tuples(COUNTS, st.floats(0, 8)), min_size=2, max_size=6))
def test_a_row_is_the_same_in_any_company(
    windowed: WhisperPipeline, batch: Sequence[tuple[int, float]]
) -> None:
    rows = [utterance(count, seconds=1 + 0.6 * count + more) for count, more in batch]
    together = windowed.recognize(rows)
    for row, found in zip(rows, together, strict=True):
        (alone,) = windowed.recognize([row])
        assert measured(found) == measured(alone)
        assert [token.log_prob for token in found.tokens] == pytest.approx(
            [token.log_prob for token in alone.tokens], abs=1e-5
        )


def test_batches_are_split_as_the_lanes_take_them(english: Path) -> None:
    pipeline = whisper(english, tail=WINDOW, rows="2")
    heard = pipeline.recognize([utterance(count) for count in (1, 5, 3, 0, 8)])
    assert [text(found) for found in heard] == [phrase(count) for count in (1, 5, 3, 0, 8)]


def test_a_small_batch_is_filled_up(english: Path) -> None:
    pipeline = whisper(english, tail=WINDOW, rows="4:4:4")
    heard = pipeline.recognize([utterance(count) for count in (2, 6)])
    assert [text(found) for found in heard] == [phrase(2), phrase(6)]


def test_can_be_stopped(pipeline: WhisperPipeline) -> None:
    options = RunOptions()
    options.terminate = True
    with pytest.raises(Stopped):
        pipeline.recognize([utterance(2)], options)


def test_weights_too_large_for_one_message_go_through_a_file() -> None:
    graph = Graph("sum")
    total, count = graph.input("total", FLOAT, (2,)), graph.ints(3)
    body = graph.inner("step")
    body.input("number", INT64, ())
    more = body.input("more", BOOL, ())
    so_far = body.input("so far", FLOAT)
    body.output("still more", more, BOOL)
    body.output("sum", body.op("Add", so_far, body.floats(np.arange(2) + 0.5)), FLOAT)
    graph.output("result", graph.op("Loop", count, graph.bools(True), total, body=body.proto()), FLOAT)
    session = open_graph(graph.model(), Placement(), largest=0)
    found = session.run({"total": np.zeros(2, np.float32)})["result"].numpy()
    assert found.tolist() == [1.5, 4.5]
