"""Whisper tiny.en and Silero over the wire, on a real telephone conversation."""

import asyncio
import re
from collections.abc import AsyncIterator
from difflib import SequenceMatcher
from itertools import pairwise

import pytest

from asr_service.loading import load_models
from serving.models.store import ModelStore
from serving.times import seconds
from speech.asr.v1 import asr_pb2
from support.health import health_waits, most
from support.recognition import Answer, AsrDoor, asr_config, asr_door

pytestmark = pytest.mark.models

# What the two say, with when; the recording's own reference.
REFERENCE = (
    "hello hello oh hello i didn't know you were there neither did i okay then i thought you know i heard a beep "
    "this is diane in new jersey and i'm sheila in texas originally from chicago oh i'm originally from chicago also "
    "i'm in new jersey now though well there isn't that much difference at least you know they all call me a yankee "
    "down here so what can i say oh i don't hear that in new jersey now"
)
SPOKEN_AT = {"Diane": 12.9, "Sheila": 14.9, "Yankee": 26.4}


@pytest.fixture
async def door() -> AsyncIterator[AsrDoor]:
    config = asr_config(parallel=0)
    async with asr_door(config=config, load=lambda: load_models(config, ModelStore())) as opened:
        yield opened


def plain(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


async def test_hears_the_conversation(door: AsrDoor, sample_pcm: bytes) -> None:
    answer = await door.recognize(sample_pcm)
    likeness = SequenceMatcher(None, plain(REFERENCE), plain(answer.text), autojunk=False).ratio()
    assert likeness > 0.8  # 0.85 measured
    assert [word.text for word in answer.words] == answer.text.split()


async def test_words_are_where_they_were_spoken(door: AsrDoor, sample_pcm: bytes) -> None:
    words = (await door.recognize(sample_pcm)).words
    bounds = [(seconds(word.start), seconds(word.end)) for word in words]
    assert bounds[0][0] == pytest.approx(6.68, abs=0.2), "nobody speaks before"
    assert bounds[-1][1] <= 30.0
    assert all(0 <= end - start < 1.5 for start, end in bounds)
    assert all(before[1] <= after[0] for before, after in pairwise(bounds))
    assert all(word.timing == asr_pb2.WORD_TIMING_MEASURED for word in words)
    for text, expected in SPOKEN_AT.items():
        found = next(seconds(word.start) for word in words if word.text.startswith(text))
        assert found == pytest.approx(expected, abs=0.4), text


async def test_the_transcript_does_not_depend_on_chunks(door: AsrDoor, sample_pcm: bytes) -> None:
    expected = (await door.recognize(sample_pcm, chunk=len(sample_pcm))).utterances
    for chunk in (1_000, 77_777):
        assert (await door.recognize(sample_pcm, chunk=chunk)).utterances == expected


async def test_health_answers_while_all_cores_decode(door: AsrDoor, sample_pcm: bytes) -> None:
    streams = asyncio.gather(*(door.recognize(sample_pcm) for _ in range(3)))
    waits = await health_waits(door.channel, streams)
    answers: list[Answer] = await streams
    assert len({answer.text for answer in answers}) == 1
    # Measured with 8 streams on two cores: 6 ms; the slowest took 37 ms.
    assert len(waits) > 20
    assert most(waits) < 0.1


async def heard_by(engine: str, model: str, pcm: bytes) -> tuple[asr_pb2.Word, ...]:
    config = asr_config(engine=engine, provider="cpu" if engine == "ort" else "auto", model=model)
    async with asr_door(config=config, load=lambda: load_models(config, ModelStore())) as opened:
        return tuple((await opened.recognize(pcm)).words)


async def test_both_engines_hear_the_same_words_at_the_same_times(sample_pcm: bytes) -> None:
    theirs = await heard_by("sherpa", "whisper-tiny.en-fp32", sample_pcm)
    ours = await heard_by("ort", "whisper-tiny.en-fp32", sample_pcm)
    assert [(word.text, word.timing) for word in ours] == [(word.text, word.timing) for word in theirs]
    for attribute in ("start", "end"):
        expected = [seconds(getattr(word, attribute)) for word in theirs]
        assert [seconds(getattr(word, attribute)) for word in ours] == pytest.approx(expected, abs=0.021)
    assert all(0 < word.confidence <= 1 for word in ours)


async def test_both_engines_hear_the_same_words_with_8_bit_weights(sample_pcm: bytes) -> None:
    """As far as that goes: 8 bits make steps of what the last bit of 24 decides, and processors round differently."""
    theirs, ours = [
        [word.text for word in await heard_by(engine, "whisper-tiny.en", sample_pcm)]
        for engine in ("sherpa", "ort")
    ]
    likeness = SequenceMatcher(None, theirs, ours, autojunk=False).ratio()
    assert likeness > 0.9  # 1 measured


@pytest.mark.parametrize(("engine", "version"), [("sherpa", "sherpa-onnx 2"), ("ort", "onnxruntime 1")])
def test_says_what_runs_each_model(engine: str, version: str) -> None:
    loaded = load_models(asr_config(engine=engine), ModelStore())
    roles = {info.role: info for info in loaded.infos}
    assert set(roles) == {"recognition", "voice-activity"}
    assert roles["recognition"].engine.startswith(version)
    assert roles["voice-activity"].engine.startswith("sherpa-onnx 2")
    assert all(info.provider == "cpu" for info in loaded.infos)
    assert roles["recognition"].name == "whisper-tiny.en"
    assert roles["recognition"].fingerprint != roles["voice-activity"].fingerprint
