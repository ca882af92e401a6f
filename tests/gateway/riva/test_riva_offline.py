"""Recognize through Riva's own client: a recording in one message, one answer."""

import asyncio

import numpy as np
import pytest
from grpc import StatusCode
from riva.client import AudioEncoding, print_offline
from riva.client.proto.riva_asr_pb2 import RecognizeRequest
from riva.client.proto.riva_common_pb2 import RequestId

from support.audio import encoded, signal, to_s16, wav
from support.gateway.deployment import deployed
from support.gateway.fakes import BYTES_PER_SECOND, diarization, recognition
from support.gateway.riva import calling, config, diarized, refusal, silence

UTTERANCES = (
    (0.5, 2.5, "Hello there, you."),
    (3.0, 5.0, "Well — hi, friend."),
    (5.2, 8.0, "How are you doing today?"),
)
TURNS = ((0.4, 2.6, "SPEAKER_00"), (2.9, 5.1, "SPEAKER_01"), (5.1, 8.0, "SPEAKER_00"))


@pytest.fixture
async def door(tmp_path):
    async with deployed(tmp_path, recognition(*UTTERANCES), diarization(*TURNS)) as deployment:
        yield deployment


@pytest.fixture
async def caller(door):
    async with calling(door.address) as riva:
        yield riva


def transcripts(response) -> list[str]:
    return [result.alternatives[0].transcript for result in response.results]


async def test_transcripts_can_be_joined_as_they_are(caller):
    response = await caller.recognize(silence(), config(enable_automatic_punctuation=True))
    assert "".join(transcripts(response)) == (
        "Hello there, you. Well — hi, friend. How are you doing today? "
    )


async def test_punctuation_is_left_out_unless_it_is_asked_for(caller):
    response = await caller.recognize(silence(), config(enable_word_time_offsets=True))
    assert "".join(transcripts(response)) == "Hello there you Well hi friend How are you doing today "
    words = [word.word for result in response.results for word in result.alternatives[0].words]
    assert words[:6] == ["Hello", "there", "you", "Well", "hi", "friend"]


async def test_each_result_says_how_much_was_heard_and_how_certain_it_is(caller):
    for result in (await caller.recognize(silence(), diarized())).results:
        assert (len(result.alternatives), result.channel_tag, result.audio_processed) == (1, 1, 10.0)
        assert result.alternatives[0].confidence == 0.5
        assert {word.confidence for word in result.alternatives[0].words} == {0.5}


async def test_words_come_with_times_in_milliseconds_where_asked_for(caller):
    response = await caller.recognize(silence(), config(enable_word_time_offsets=True))
    first = response.results[0].alternatives[0].words[1]
    assert (first.word, first.start_time, first.end_time, first.speaker_tag) == ("there", 1167, 1833, 0)
    plain = await caller.recognize(silence())
    assert not any(result.alternatives[0].words for result in plain.results)


async def test_speaker_tags_count_from_one(caller):
    response = await caller.recognize(silence(), diarized())
    tagged = [
        ({word.speaker_tag for word in result.alternatives[0].words}, result.alternatives[0].transcript)
        for result in response.results
    ]
    assert tagged == [({1}, "Hello there you "), ({2}, "Well hi friend "), ({1}, "How are you doing today ")]


async def test_speakers_without_times_are_words_without_times(caller):
    asked = config()
    asked.diarization_config.enable_speaker_diarization = True
    words = (await caller.recognize(silence(), asked)).results[1].alternatives[0].words
    assert [(word.start_time, word.end_time, word.speaker_tag) for word in words] == [(0, 0, 2)] * 3


async def test_nobody_is_diarized_unless_it_is_asked_for(tmp_path):
    asr, diarizer = recognition(*UTTERANCES), diarization(*TURNS)
    async with deployed(tmp_path, asr, diarizer) as door, calling(door.address) as caller:
        await caller.recognize(silence())
        assert (len(asr.calls), len(diarizer.calls)) == (1, 0)
        await caller.recognize(silence(), diarized(most=3))
    assert diarizer.calls[0].config.speakers.maximum == 3
    assert asr.calls[0].config.language == "en-US"


async def test_an_id_is_the_callers_own_or_made_up(tmp_path):
    asr = recognition(*UTTERANCES)
    async with deployed(tmp_path, asr, diarization()) as door, calling(door.address) as caller:
        request = RecognizeRequest(config=config(), audio=silence(), id=RequestId(value="call-7"))
        named = await caller.threaded(caller.service.stub.Recognize, request)
        other = await caller.recognize(silence())
    assert named.id.value == "call-7"
    assert [call.request_id for call in asr.calls] == ["call-7", other.id.value]


async def test_the_clients_own_printer_takes_the_answer(caller, capsys):
    print_offline(await caller.recognize(silence(), diarized(enable_automatic_punctuation=True)))
    assert "Final transcript: Hello there, you. Well — hi, friend. How are" in capsys.readouterr().out


async def test_many_recordings_at_once_are_each_answered(door, caller):
    answers = await asyncio.gather(*(caller.recognize(silence(), diarized()) for _ in range(12)))
    assert len({answer.id.value for answer in answers}) == 12
    assert {len(answer.results) for answer in answers} == {3}


STEREO = np.stack([signal(4.0, 8_000)] * 2, axis=1)
RECORDINGS = {
    "WAV as samples": (wav(signal(4.0, 8_000), 8_000), {"sample_rate_hertz": 0}),
    "WAV without a word": (wav(signal(4.0, 8_000), 8_000), {"encoding": 0, "sample_rate_hertz": 0}),
    "WAV as it is": (wav(STEREO, 8_000), {"sample_rate_hertz": 8_000, "audio_channel_count": 2}),
    "samples": (to_s16(signal(4.0, 8_000)), {"sample_rate_hertz": 8_000}),
    "samples of two channels": (to_s16(STEREO), {"sample_rate_hertz": 8_000, "audio_channel_count": 2}),
    "FLAC": (encoded("flac", "flac", signal(4.0, 8_000), 8_000),
             {"encoding": AudioEncoding.FLAC, "sample_rate_hertz": 8_000}),
    "Opus": (encoded("ogg", "libopus", signal(4.0, 16_000), 16_000), {"encoding": AudioEncoding.OGGOPUS}),
    "mu-law": (encoded("mulaw", "pcm_mulaw", signal(4.0, 8_000), 8_000),
               {"encoding": AudioEncoding.MULAW, "sample_rate_hertz": 8_000}),
    "A-law of two channels": (
        encoded("alaw", "pcm_alaw", STEREO, 8_000),
        {"encoding": AudioEncoding.ALAW, "sample_rate_hertz": 8_000, "audio_channel_count": 2},
    ),
    "mu-law in WAV": (encoded("wav", "pcm_mulaw", signal(4.0, 8_000), 8_000),
                      {"encoding": AudioEncoding.MULAW, "sample_rate_hertz": 8_000}),
    "MP3": (encoded("mp3", "libmp3lame", signal(4.0, 16_000), 16_000), {"encoding": 0}),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDINGS)
async def test_every_encoding_reaches_recognition_as_the_same_sound(tmp_path, name):
    data, announced = RECORDINGS[name]
    asr = recognition(*UTTERANCES)
    async with deployed(tmp_path, asr, diarization()) as door, calling(door.address) as caller:
        response = await caller.recognize(data, config(**announced))
    assert asr.calls[0].received == pytest.approx(4.0 * BYTES_PER_SECOND, rel=0.02)
    assert response.results[0].audio_processed == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("WAV as samples", {"sample_rate_hertz": 16_000}, "sample_rate_hertz"),
        ("WAV as samples", {"audio_channel_count": 2}, "audio_channel_count"),
        ("WAV as samples", {"encoding": AudioEncoding.FLAC}, "encoding"),
        ("mu-law in WAV", {"encoding": AudioEncoding.LINEAR_PCM}, "encoding"),
        ("FLAC", {"encoding": AudioEncoding.LINEAR_PCM}, "encoding"),
        ("Opus", {"encoding": AudioEncoding.FLAC}, "encoding"),
        ("samples", {"sample_rate_hertz": 0}, "sample_rate_hertz"),
        ("samples", {"audio_channel_count": 99}, "audio_channel_count"),
        ("mu-law", {"sample_rate_hertz": 1}, "sample_rate_hertz"),
    ],
)
async def test_a_recording_that_is_not_what_was_announced_is_refused_by_field(caller, name, changes, field):
    data, announced = RECORDINGS[name]
    refused = await refusal(caller.recognize(data, config(**(announced | changes))))
    assert (refused.code, refused.field) == (StatusCode.INVALID_ARGUMENT, f"config.{field}")


@pytest.mark.parametrize("data", [b"", b"\x01", b"no sound at all" * 100])
async def test_bytes_that_are_no_recording_are_refused(caller, data):
    refused = await refusal(caller.recognize(data, config(encoding=0)))
    assert (refused.code, refused.field) == (StatusCode.INVALID_ARGUMENT, "audio")


async def test_a_message_over_the_limit_is_refused_with_the_limit(tmp_path):
    limit = {"max_recording_message_bytes": 100_000}
    async with (
        deployed(tmp_path, recognition(), diarization(), **limit) as door,
        calling(door.address) as caller,
    ):
        refused = await refusal(caller.recognize(silence(4.0)))
        await caller.recognize(silence(3.0))
    assert (refused.code, refused.field) == (StatusCode.INVALID_ARGUMENT, "audio")
    assert "100,000" in refused.message


async def test_many_minutes_come_in_one_message_and_an_hour_does_not(caller):
    answer = await caller.recognize(silence(16 * 60.0))
    assert answer.results[0].audio_processed == 16 * 60.0
    refused = await refusal(caller.recognize(silence(60 * 60.0)))
    assert refused.code is StatusCode.RESOURCE_EXHAUSTED


async def test_a_cancelled_call_ends_what_is_done_for_it(tmp_path):
    asr = recognition(*UTTERANCES)
    asr.released.clear()
    async with deployed(tmp_path, asr, diarization()) as door, calling(door.address) as caller:
        call = caller.service.offline_recognize(silence(), config(), future=True)
        await asr.called.wait()
        call.cancel()
        async with asyncio.timeout(5):
            assert await asr.calls[0].ending in {"CancelledError", "Abandoned"}
