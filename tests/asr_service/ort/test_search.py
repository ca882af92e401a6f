"""Greedy searches over batches against sherpa-onnx's way, one utterance and one frame after the other."""

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from asr_service.engines.base import Stopped
from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.search import CtcSearch, nemo_search, stateless_search
from serving.errors import ModelUnavailable
from support.random_decoders import Floats, RandomDecoder
from support.reference_search import Found, log_softmax
from support.searches import CASES, RNNT, UNKNOWN, Case, alike, encoded, rows
from support.tiny_models import MODELS, nemo

BATCH, TIME = 48, 60
HERE = Placement()


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def lengths(batch: int = BATCH, time: int = TIME) -> list[int]:
    """From nothing to everything."""
    return np.linspace(0, time, batch).round().astype(int).tolist()


def test_finds_what_decoding_one_by_one_finds(case: Case, tmp_path: Path) -> None:
    search, reference = case.load(tmp_path)
    frames = case.decoder.frames(BATCH, TIME)
    expected = [reference(row[:length]) for row, length in zip(frames, lengths(), strict=True)]
    alike(rows(search(case.encoded(frames, lengths()))), expected)


def test_the_utterances_try_every_rule(tmp_path: Path) -> None:
    for name, most, durations in (("stateless", 1, {0}), ("rnnt", 10, {0}), ("tdt", 5, {0, 1, 2, 3, 4})):
        directory = tmp_path / name
        directory.mkdir()
        _, reference = CASES[name].load(directory)
        found = [reference(row) for row in CASES[name].decoder.frames(BATCH, TIME)]
        assert len({token for one in found for token in one.tokens}) > 8
        assert len({tuple(one.tokens) for one in found}) > BATCH / 2
        assert max(max(Counter(one.frames).values(), default=0) for one in found) == most
        assert {duration for one in found for duration in one.durations} == durations


def test_an_unknown_token_is_never_said_where_it_counts_as_blank(tmp_path: Path) -> None:
    decoder, joiner = tmp_path / "decoder.onnx", tmp_path / "joiner.onnx"
    RNNT.write_stateless(decoder, joiner)
    batch = encoded(RNNT.frames(BATCH, TIME), [TIME] * BATCH)
    saying = stateless_search(decoder, joiner).on(HERE, frames="out")(batch)
    assert UNKNOWN in saying.tokens
    silent = stateless_search(decoder, joiner, unknown=UNKNOWN).on(HERE, frames="out")(batch)
    assert UNKNOWN not in silent.tokens


@pytest.mark.parametrize("durations", [0, 5])
def test_without_a_frame_nothing_is_said(durations: int, tmp_path: Path) -> None:
    case = Case("", RandomDecoder(durations=durations))
    search, _ = case.load(tmp_path)
    assert rows(search(case.encoded(RNNT.frames(2, 3), [0, 0]))) == [Found(), Found()]


@pytest.mark.parametrize("name", ["transducer", "rnnt", "tdt"])
def test_the_phrase_of_the_tiny_models_is_found(name: str, tmp_path: Path) -> None:
    model = MODELS[name]
    model.write(tmp_path)
    encoder, decoder, joiner = (
        next(tmp_path.glob(f"{role}*.onnx")) for role in ("encoder", "decoder", "joiner")
    )
    if name == "transducer":
        search = stateless_search(decoder, joiner).on(HERE, frames="out")
    else:
        search = nemo_search(decoder, joiner, tokens=len(model.vocabulary)).on(HERE, frames="out")
    starts = [4, 9, 13, 20, 31]
    (found,) = rows(search(encoded(heard(encoder, starts), [40])))
    assert found.tokens == [model.vocabulary.piece_id(burst) for burst in range(len(starts))]
    assert found.frames == starts
    if name == "tdt":
        assert found.durations == [nemo.frames(piece) for piece in range(len(starts))]
    expected = [model.vocabulary.probability(burst) for burst in range(len(starts))]
    assert np.exp(found.log_probs) == pytest.approx(expected, abs=0.002)


def heard(encoder: Path, starts: list[int]) -> Floats:
    """What a tiny model's encoder gives for 40 frames with bursts of two frames from `starts` on."""
    session = onnxruntime.InferenceSession(encoder)
    features, lengths = session.get_inputs()
    time_last = features.name == "audio_signal"
    stride = 8 if time_last else 4
    level = np.full(40, -16, np.float32)
    level[np.add.outer(starts, [0, 1])] = 1
    time, bins = 40 * stride, features.shape[1 if time_last else 2]
    values = np.broadcast_to(level.repeat(stride)[:, np.newaxis], (time, bins))
    inputs = {
        features.name: (values.T if time_last else values)[np.newaxis],
        lengths.name: np.array([time]),
    }
    outputs: Floats = session.run(None, inputs)[0]
    return outputs


def test_a_search_ends_when_told_to(tmp_path: Path) -> None:
    search, _ = Case("", RandomDecoder(), window=1).load(tmp_path)
    endless = Case("", RNNT).encoded(RNNT.frames(1, 200_000), [200_000])
    options = onnxruntime.RunOptions()
    begun = threading.Timer(0.2, setattr, (options, "terminate", True))
    begun.start()
    with pytest.raises(Stopped):
        search(endless, options)


def test_a_vocabulary_larger_than_the_joiners_is_refused(tmp_path: Path) -> None:
    RNNT.write_fused(tmp_path / "model.onnx")
    with pytest.raises(ModelUnavailable, match="24 tokens and the vocabulary 500"):
        nemo_search(tmp_path / "model.onnx", None, tokens=500).on(HERE, frames="out")


class TestCtc:
    BLANK = 4

    def found(self, tokens: list[list[int]], lengths: list[int]) -> list[Found]:
        logits = np.zeros((len(tokens), len(tokens[0]), 5), np.float32)
        np.put_along_axis(logits, np.array(tokens)[..., np.newaxis], 3, axis=2)
        return rows(CtcSearch(HERE, logits="out", blank=self.BLANK)(encoded(logits, lengths)))

    def test_repetitions_are_one_token_at_their_first_frame(self) -> None:
        (found,) = self.found([[4, 1, 1, 4, 1, 2, 2, 4]], [8])
        assert (found.tokens, found.frames) == ([1, 1, 2], [1, 4, 5])

    def test_the_first_frame_can_hold_a_token(self) -> None:
        (found,) = self.found([[0, 0, 3]], [3])
        assert (found.tokens, found.frames) == ([0, 3], [0, 2])

    def test_padding_says_nothing(self) -> None:
        found = self.found([[1, 4, 2, 3], [3, 2, 1, 0], [0, 1, 2, 3]], [4, 2, 0])
        assert [one.tokens for one in found] == [[1, 2, 3], [3, 2], []]
        assert [one.frames for one in found] == [[0, 2, 3], [0, 1], []]

    def test_probabilities_are_normalised(self) -> None:
        (found,) = self.found([[1, 4, 2]], [3])
        assert found.log_probs == pytest.approx([log_softmax(np.array([3.0, 0, 0, 0, 0]))[0]] * 2)
