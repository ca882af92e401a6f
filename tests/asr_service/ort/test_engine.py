"""Batches reach the recogniser in parts that it takes, and answers come back in their order."""

from collections.abc import Sequence

import numpy as np
import pytest
from onnxruntime import RunOptions

from asr_service.engines.base import EngineInfo, Recognition, Speech, Stop, Stopped, Token
from asr_service.engines.ort.engine import OrtEngine
from support.recognition import INFO

SPEECHES = [Speech(np.zeros(samples, np.float32)) for samples in (31, 12, 35, 18, 39, 11, 33)]


class CountingRecognizer:
    """Answers with the number of samples; a bucket holds ten lengths."""

    def __init__(self, stop: Stop | None = None) -> None:
        self.batches: list[list[int]] = []
        self.options: list[RunOptions] = []
        self._stop = stop

    def bucket(self, speech: Speech) -> int:
        return len(speech.samples) // 10

    def padded(self, speech: Speech) -> float:
        return 10.0 * self.bucket(speech)

    def recognize(self, batch: Sequence[Speech], options: RunOptions) -> list[Recognition]:
        self.batches.append([len(speech.samples) for speech in batch])
        self.options.append(options)
        if self._stop:
            self._stop.set()
        return [Recognition((Token(b"%d" % len(speech.samples)),)) for speech in batch]


def info(max_batch: int) -> EngineInfo:
    return EngineInfo(**{**vars(INFO), "max_batch": max_batch})


def test_answers_come_in_the_batchs_order() -> None:
    found = OrtEngine(CountingRecognizer(), info(3)).recognize(SPEECHES)
    assert [recognition.tokens[0].text for recognition in found] == [
        b"%d" % len(speech.samples) for speech in SPEECHES
    ]


def test_a_part_is_of_one_bucket_and_no_larger_than_the_model_takes() -> None:
    recognizer = CountingRecognizer()
    OrtEngine(recognizer, info(3)).recognize(SPEECHES)
    assert recognizer.batches == [[12, 18, 11], [31, 35, 39], [33]]


def test_nothing_is_asked_of_no_speech() -> None:
    recognizer = CountingRecognizer()
    assert OrtEngine(recognizer, info(3)).recognize([]) == []
    assert recognizer.batches == []


def test_a_stop_ends_the_run_and_what_would_follow() -> None:
    stop = Stop()
    recognizer = CountingRecognizer(stop)
    with pytest.raises(Stopped):
        OrtEngine(recognizer, info(3)).recognize(SPEECHES, stop)
    assert recognizer.batches == [[12, 18, 11]]
    assert recognizer.options[0].terminate


def test_what_was_stopped_before_is_not_begun() -> None:
    stop = Stop()
    stop.set()
    recognizer = CountingRecognizer()
    with pytest.raises(Stopped):
        OrtEngine(recognizer, info(3)).recognize(SPEECHES, stop)
    assert recognizer.batches == []


def test_buckets_and_padding_are_the_models() -> None:
    engine = OrtEngine(CountingRecognizer(), info(3))
    assert [engine.bucket(speech) for speech in SPEECHES[:3]] == [3, 1, 3]
    assert engine.padded(SPEECHES[0]) == 30.0
