"""What OpenAI's own client gets of a real gateway with fake backends, in each form of answer."""

import asyncio

import openai
import pytest
from grpc import StatusCode

from support.gateway.fakes import diarization, early, failing, recognition, turns_update
from support.gateway.http import MODEL, TEXT, TURNS, answering, base_url, official, recording


@pytest.fixture
async def door(tmp_path):
    async with answering(tmp_path) as door:
        yield door


@pytest.fixture
async def client(door):
    async with official(door) as client:
        yield client


async def transcribed(client, **wanted):
    return await client.audio.transcriptions.create(**{"file": recording(), "model": MODEL} | wanted)


async def test_text_with_what_it_is_reckoned_by(client):
    for wanted in ({}, {"response_format": "json"}, {"temperature": 0}, {"chunking_strategy": "auto"}):
        transcription = await transcribed(client, **wanted)
        assert transcription.text == TEXT
        assert transcription.usage.seconds == 6.0


async def test_plain_text(client):
    assert await transcribed(client, response_format="text") == f"{TEXT}\n"


async def test_subtitles(client):
    assert await transcribed(client, response_format="srt") == (
        "1\n00:00:00,500 --> 00:00:02,500\nSPEAKER_00: hello there you\n\n"
        "2\n00:00:03,000 --> 00:00:05,000\nSPEAKER_01: well hi my friend\n"
    )
    assert await transcribed(client, response_format="vtt") == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:02.500\n<v SPEAKER_00>hello there you</v>\n\n"
        "00:00:03.000 --> 00:00:05.000\n<v SPEAKER_01>well hi my friend</v>\n"
    )


async def test_segments_as_whisper_tells_them(client):
    transcription = await transcribed(client, response_format="verbose_json", language="en")
    assert (transcription.text, transcription.duration, transcription.language) == (TEXT, 6.0, "en")
    assert transcription.words is None
    first, second = transcription.segments
    assert (first.id, first.start, first.end, first.text) == (0, 0.5, 2.5, "hello there you")
    assert (second.id, second.start, second.end, second.text) == (1, 3.0, 5.0, "well hi my friend")
    assert (second.seek, second.avg_logprob) == (300, -0.6931)
    assert 0 < second.compression_ratio < 1


async def test_words_with_their_times(client):
    wanted = {"response_format": "verbose_json", "timestamp_granularities": ["word"]}
    transcription = await transcribed(client, **wanted)
    assert transcription.segments is None
    assert transcription.language == "und"
    assert [(word.word, word.start, word.end) for word in transcription.words][3:5] == [
        ("well", 3.0, 3.5),
        ("hi", 3.5, 4.0),
    ]
    wanted["timestamp_granularities"] = ["word", "segment"]
    transcription = await transcribed(client, **wanted)
    assert (len(transcription.words), len(transcription.segments)) == (7, 2)


async def test_who_said_it(client):
    transcription = await transcribed(client, response_format="diarized_json")
    assert (transcription.text, transcription.duration, transcription.task) == (TEXT, 6.0, "transcribe")
    assert [(each.speaker, each.start, each.end, each.text) for each in transcription.segments] == [
        ("SPEAKER_00", 0.5, 2.5, "hello there you"),
        ("SPEAKER_01", 3.0, 5.0, "well hi my friend"),
    ]


@pytest.mark.parametrize(
    ("response_format", "diarized"),
    [("json", 0), ("text", 0), ("verbose_json", 0), ("srt", 1), ("vtt", 1), ("diarized_json", 1)],
)
async def test_speakers_are_told_apart_where_the_answer_names_them(tmp_path, response_format, diarized):
    turns = diarization(*TURNS)
    async with answering(tmp_path, None, turns) as door, official(door) as client:
        await transcribed(client, response_format=response_format)
    assert len(turns.calls) == diarized


async def test_the_language_reaches_recognition(door, client):
    await transcribed(client, language="de")
    (asr,) = (backend for backend in door.replicas if backend.names == ("speech.asr.v1.SpeechRecognition",))
    assert asr.calls[0].config.language == "de"


async def test_text_comes_as_it_is_recognised_and_speakers_as_they_are_certain(tmp_path):
    turns = diarization(*TURNS)
    turns.released.clear()
    async with answering(tmp_path, None, turns) as door, official(door) as client:
        events = await transcribed(client, response_format="diarized_json", stream=True)
        deltas = [await anext(events), await anext(events)]
        assert [event.type for event in deltas] == ["transcript.text.delta"] * 2
        assert "".join(event.delta for event in deltas) == TEXT
        turns.released.set()
        *segments, done = [event async for event in events]
        assert [(each.type, each.speaker, each.text) for each in segments] == [
            ("transcript.text.segment", "SPEAKER_00", "hello there you"),
            ("transcript.text.segment", "SPEAKER_01", "well hi my friend"),
        ]
        assert (done.type, done.text) == ("transcript.text.done", TEXT)


async def test_words_are_told_once_however_often_their_speakers_change(tmp_path):
    asr = recognition((0.5, 4.5, "a b c d e f g h"))
    changes = [
        early(4.6, turns_update([(0.0, 5.0, "SPEAKER_00")], horizon=4.6, final=0.0)),
        early(
            4.8, turns_update([(0.0, 2.4, "SPEAKER_00"), (2.4, 5.0, "SPEAKER_01")], horizon=4.8, final=0.0)
        ),
    ]
    turns = diarization((0.0, 1.4, "SPEAKER_00"), (1.4, 5.0, "SPEAKER_01"))
    turns.script[1:1] = changes
    async with answering(tmp_path, asr, turns) as door, official(door) as client:
        events = await transcribed(client, response_format="diarized_json", stream=True)
        *told, done = [event async for event in events]
        deltas = [event for event in told if event.type == "transcript.text.delta"]
        assert [event.speaker for event in told[len(deltas) :]] == ["SPEAKER_00", "SPEAKER_01"]
        assert "".join(event.delta for event in deltas) == done.text == "a b c d e f g h"


@pytest.mark.parametrize("response_format", ["json", "text"])
async def test_text_alone_comes_utterance_by_utterance(client, response_format):
    events = await transcribed(client, response_format=response_format, stream=True)
    told = [(event.type, getattr(event, "delta", None) or event.text) async for event in events]
    assert told == [
        ("transcript.text.delta", "hello there you"),
        ("transcript.text.delta", " well hi my friend"),
        ("transcript.text.done", TEXT),
    ]


async def test_a_failure_on_the_way_is_an_event_of_the_stream(tmp_path):
    turns = diarization(*TURNS, faults=[failing(StatusCode.FAILED_PRECONDITION)])
    turns.released.clear()
    async with answering(tmp_path, None, turns) as door, official(door) as client:
        events = await transcribed(client, response_format="diarized_json", stream=True)
        assert (await anext(events)).type == "transcript.text.delta"
        turns.released.set()
        with pytest.raises(openai.APIError) as caught:
            [event async for event in events]
        assert "secret" not in str(caught.value)


async def test_many_at_once_get_each_their_own(tmp_path):
    async with answering(tmp_path) as door, official(door) as client:
        lengths = [4.0 + number / 2 for number in range(12)]
        wanted = [transcribed(client, file=recording(length)) for length in lengths]
        transcriptions = await asyncio.gather(*wanted)
        assert [each.usage.seconds for each in transcriptions] == lengths
        assert {each.text for each in transcriptions} == {TEXT}


async def test_the_synchronous_client_works_too(door):
    def called():
        with openai.OpenAI(base_url=base_url(door), api_key="unasked", max_retries=0) as client:
            whole = client.audio.transcriptions.create(file=recording(), model=MODEL)
            streamed = client.audio.transcriptions.create(file=recording(), model=MODEL, stream=True)
            return whole.text, list(streamed)[-1].text

    assert await asyncio.to_thread(called) == (TEXT, TEXT)
