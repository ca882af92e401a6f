"""Every family of models through every engine that runs it, on small models of the published layouts."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from asr_service.engines import EngineName, load
from asr_service.engines.base import Engine, Recognition, Speech
from asr_service.utterances import Utterance
from asr_service.vad import Region
from asr_service.words import Word, transcribe
from serving.errors import ModelUnavailable
from serving.times import SAMPLE_RATE
from support.tiny_models import BURST_SECONDS, MODELS, TinyModel, bursts, nemo, words
from support.tiny_models.breakage import HARMLESS, MANGLED, REFUSED

ROOT = Path(__file__).parents[2]
STARTS = (0.4, 1.0, 1.6, 2.2, 2.8)
SECONDS = 3.4

ENGINES: dict[EngineName, str] = {"sherpa": "sherpa-onnx 2.", "ort": "onnxruntime 1."}
RUN = [(model.name, engine) for model in MODELS.values() for engine in model.engines]
VARIANTS = {"paraformer", "whisper-multilingual", "whisper-without-attention", "rnnt-of-onnx-asr"}
"""Of others in the list, which break in the same ways."""


@pytest.fixture(scope="session", params=RUN, ids="-".join)
def run(request: pytest.FixtureRequest) -> tuple[str, EngineName]:
    return request.param


@pytest.fixture(scope="session")
def model(run: tuple[str, EngineName]) -> TinyModel:
    return MODELS[run[0]]


@pytest.fixture(scope="session")
def engine_name(run: tuple[str, EngineName]) -> EngineName:
    return run[1]


@pytest.fixture(scope="session")
def engine(model: TinyModel, engine_name: EngineName, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return loaded(model.name, tmp_path_factory.mktemp(model.name), engine_name)


@pytest.fixture(scope="session")
def says_probabilities(model: TinyModel, engine_name: EngineName) -> bool:
    return engine_name == "ort" or model.says_probabilities


def loaded(name: str, directory: Path, engine: EngineName) -> Engine:
    MODELS[name].write(directory)
    return load(directory, precision="fp32", threads=1, engine=engine)


def heard(
    engine: Engine, starts: Sequence[float], seconds: float, language: str | None = None
) -> Recognition:
    (recognition,) = engine.recognize([Speech(bursts(starts, seconds), language)])
    return recognition


def said(found: Sequence[Recognition]) -> list[list[tuple[object, ...]]]:
    """Without probabilities, whose last bit depends on how many rows were computed together."""
    return [[(token.text, token.start, token.duration) for token in each.tokens] for each in found]


def spoken(engine: Engine, *, offset: float = 0.0) -> tuple[Word, ...]:
    """The words of an utterance that begins `offset` seconds into the recording, with a region for each word."""
    samples = bursts(STARTS, SECONDS)
    (recognition,) = engine.recognize([Speech(samples)])
    utterance = Utterance(
        start=round(offset * SAMPLE_RATE),
        samples=(samples * 32767).astype(np.int16),
        regions=tuple(region(offset, pieces) for _, pieces in words(len(STARTS))),
    )
    return transcribe(recognition, utterance, engine.info).words


def region(offset: float, pieces: tuple[int, ...]) -> Region:
    start, end = offset + STARTS[pieces[0]], offset + STARTS[pieces[-1]] + BURST_SECONDS
    return Region(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))


def test_says_what_it_is(
    model: TinyModel, engine_name: EngineName, engine: Engine, says_probabilities: bool
) -> None:
    info = engine.info
    assert info.engine.startswith(ENGINES[engine_name])
    assert info.family == model.family
    assert info.measures_time == (model.frame is not None)
    assert info.has_confidence == says_probabilities
    assert info.times_drift == (model.family == "whisper")
    assert info.provider == "cpu"
    assert 0 < info.preferred_seconds <= info.max_seconds


def test_says_the_words(engine: Engine) -> None:
    said = [word.text for word in spoken(engine)]
    assert said == [text for text, _ in words(len(STARTS))] == ["good", "morning", "everybody"]


def test_tokens_have_the_times_that_the_family_measures(model: TinyModel, engine: Engine) -> None:
    starts = [token.start for token in heard(engine, STARTS, SECONDS).tokens]
    if model.frame is None:
        assert starts == [None] * len(STARTS)
    elif model.family == "whisper":
        # Cross-attention gives the silence at the beginning to the first token.
        assert starts == pytest.approx((0.0, *STARTS[1:]), abs=2 * model.frame)
    else:
        assert starts == pytest.approx(STARTS, abs=model.frame)


def test_words_lie_where_they_were_spoken(model: TinyModel, engine: Engine) -> None:
    offset = 7.0
    found = spoken(engine, offset=offset)
    bounds = [bound for word in found for bound in (word.start, word.end)]
    assert bounds == sorted(bounds)
    assert offset + STARTS[0] - 0.1 <= bounds[0]
    assert bounds[-1] <= offset + STARTS[-1] + BURST_SECONDS + 0.1
    assert {word.is_measured for word in found} == {model.frame is not None}
    if model.frame is not None:
        starts = [offset + STARTS[pieces[0]] for _, pieces in words(len(STARTS))]
        assert [word.start for word in found] == pytest.approx(starts, abs=max(model.frame, 0.05))


def test_probabilities_are_the_models_own(model: TinyModel, engine: Engine, says_probabilities: bool) -> None:
    logs = [token.log_prob for token in heard(engine, STARTS, SECONDS).tokens]
    if not says_probabilities:
        assert logs == [None] * len(STARTS)
        return
    expected = [model.vocabulary.probability(burst) for burst in range(len(STARTS))]
    assert [math.exp(log) for log in logs if log is not None] == pytest.approx(expected, abs=0.002)


def test_a_batch_equals_one_by_one(engine: Engine) -> None:
    batch = [
        Speech(bursts(STARTS[:2], 1.7)),
        Speech(bursts((), 1.0)),
        Speech(bursts(STARTS, SECONDS)),
        Speech(bursts((0.1,), 0.4)),
    ]
    together = engine.recognize(batch)
    assert [len(recognition.tokens) for recognition in together] == [2, 0, 5, 1]
    assert said(together) == said([engine.recognize([speech])[0] for speech in batch])


def test_threads_do_not_disturb_each_other(engine: Engine) -> None:
    batch = [Speech(bursts(STARTS[: turn % 3], 1.7, seed=turn)) for turn in range(8)]
    expected = engine.recognize(batch)
    with ThreadPoolExecutor(4) as pool:
        found = [found for (found,) in pool.map(lambda speech: engine.recognize([speech]), batch)]
    assert said(found) == said(expected)


@pytest.mark.parametrize("samples", [0, 1, 160, 4000])
def test_scraps_of_silence_say_nothing(engine: Engine, samples: int) -> None:
    assert engine.recognize([Speech(np.zeros(samples, np.float32))]) == [Recognition(())]


@pytest.mark.parametrize(("name", "engine"), [pair for pair in RUN if "tdt" in pair[0]])
def test_tdt_says_how_long_tokens_last(name: str, engine: EngineName, tmp_path: Path) -> None:
    found = heard(loaded(name, tmp_path, engine), STARTS, SECONDS)
    expected = [nemo.frames(piece) * 0.08 for piece in range(len(STARTS))]
    assert [token.duration for token in found.tokens] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "engine", "languages"),
    [
        ("whisper", "sherpa", ("en",)),
        ("whisper", "ort", ("en",)),
        ("whisper-multilingual", "sherpa", ("en", "de")),
        ("whisper-multilingual", "ort", ("en", "de")),
        ("sense-voice", "sherpa", ("zh", "en", "ja", "ko", "yue")),
        ("transducer", "sherpa", ()),
        ("transducer", "ort", ()),
    ],
)
def test_says_its_languages(
    name: str, engine: EngineName, languages: tuple[str, ...], tmp_path: Path
) -> None:
    assert loaded(name, tmp_path, engine).info.languages == languages


@pytest.mark.parametrize(
    ("name", "language", "shift"),
    [
        ("whisper-multilingual", None, 0),
        ("whisper-multilingual", "en", 0),
        ("whisper-multilingual", "de", 1),
        ("sense-voice", None, 0),
        ("sense-voice", "zh", 3),
        ("sense-voice", "en", 4),
    ],
)
def test_the_model_is_told_the_language(name: str, language: str | None, shift: int, tmp_path: Path) -> None:
    MODELS[name].write(tmp_path)
    for engine in MODELS[name].engines:
        found = heard(load(tmp_path, precision="fp32", threads=1, engine=engine), STARTS, SECONDS, language)
        text = b"".join(token.text for token in found.tokens).decode().split()
        assert text == [word for word, _ in words(len(STARTS), shift=shift)]


@pytest.mark.parametrize("name", ["moonshine-v1", "sense-voice", "paraformer"])
def test_ort_says_what_it_does_not_run(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=f"a {MODELS[name].family} model, .* choose the engine sherpa"):
        loaded(name, tmp_path, "ort")


@pytest.mark.parametrize(("name", "engine"), [pair for pair in RUN if pair[0] not in VARIANTS])
def test_a_broken_model_is_refused_and_the_process_lives(
    name: str, engine: EngineName, tmp_path: Path
) -> None:
    for attempt in attempted(name, tmp_path, engine):
        assert attempt["outcome"] in tolerable(attempt["breakage"]), attempt
        if attempt["outcome"] == REFUSED:
            assert "DIRECTORY" in attempt["message"]


def tolerable(breakage: str) -> set[str]:
    """A number that is merely wrong, or a graph with enough inputs, can pass; a file that is damaged cannot."""
    file, how = breakage.split(maxsplit=1)
    if how.endswith((" too large", " in it")):
        return {REFUSED, HARMLESS, MANGLED}
    if how.startswith("with ") or file in {"tokens.txt", "vocab.txt"}:
        return {REFUSED, HARMLESS}
    return {REFUSED}


def attempted(name: str, directory: Path, engine: EngineName) -> list[dict[str, str]]:
    """What became of each breakage. Run in a process of its own, which has to reach the end."""
    paths = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    run = subprocess.run(
        [sys.executable, "-m", "support.tiny_models.breakage", name, str(directory), engine],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": paths},
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, f"ended by {lines[-1:]}: {run.stderr[-1000:]}"
    return [line for line in lines if "outcome" in line]
