"""Both calls of the gateway, as callers see them when all goes well."""

import asyncio
import itertools

import pytest
from grpc import StatusCode

from gateway.client import Transcript, configuration
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2
from support.calling import refusal
from support.gateway.deployment import PCM, audio, deployed
from support.gateway.fakes import diarization, early, recognition, turns_update

UTTERANCES = (
    (0.5, 2.5, "hello there you"),
    (3.0, 5.0, "well hi my friend"),
    (5.2, 8.0, "how are you doing today"),
)
TURNS = ((0.4, 2.6, "SPEAKER_00"), (2.9, 6.3, "SPEAKER_01"), (6.3, 8.0, "SPEAKER_00"))
SPOKEN = [
    ("SPEAKER_00", "hello there you"),
    ("SPEAKER_01", "well hi my friend how are"),
    ("SPEAKER_00", "you doing today"),
]


def spoken(segments) -> list[tuple[str, str]]:
    return [(segment.speaker, segment.text) for segment in segments]


@pytest.fixture
async def door(tmp_path):
    async with deployed(tmp_path, recognition(*UTTERANCES), diarization(*TURNS)) as deployment:
        yield deployment


async def test_segments_go_out_without_speakers_first_and_with_them_later(tmp_path):
    diarizer, transcript, segments = diarization(*TURNS), Transcript(), []
    diarizer.released.clear()
    async with deployed(tmp_path, recognition(*UTTERANCES), diarizer) as door:
        async for event in door.client.transcribe(audio(10.0), configuration(pcm=PCM)):
            transcript.apply(event)
            segments += [event.segment] if event.HasField("segment") else []
            if event.stage_status.stage == gateway_pb2.STAGE_ASR:
                diarizer.released.set()
    provisional = [segment for segment in segments if not segment.speaker_final]
    assert spoken(provisional) == [("", text) for _, _, text in UTTERANCES]
    assert all(segment.text_final for segment in segments)
    assert spoken(transcript.final_segments) == spoken(transcript.segments) == SPOKEN
    # Its words stayed together, so it kept its id; the others were divided and joined anew.
    assert (transcript.segments[0].segment_id, transcript.segments[0].revision) == ("segment-1", 1)
    assert list(transcript.segments[1].supersedes) == ["segment-2", "segment-3"]


async def test_both_calls_give_the_same_transcript(door):
    replayed = await door.transcript()
    final = await door.transcript(final_only=True)
    reply = await door.file()

    def content(segments):
        plain = []
        for segment in segments:
            copy = gateway_pb2.Segment()
            copy.CopyFrom(segment)
            for field in ("segment_id", "revision", "supersedes"):
                copy.ClearField(field)
            plain.append(copy)
        return plain

    assert spoken(reply.segments) == SPOKEN
    assert content(replayed.segments) == content(final.segments) == content(reply.segments)
    assert replayed.completed == final.completed == reply.completed


async def test_final_results_come_once_and_in_order(door):
    _, events = await door.events(final_only=True, omit_progress=True)
    segments = [event.segment for event in events if event.HasField("segment")]
    assert spoken(segments) == SPOKEN
    assert [segment.revision for segment in segments] == [0, 0, 0]
    assert not any(event.HasField("progress") for event in events)


async def test_the_first_event_says_what_the_recording_is(door):
    _, events = await door.events(request_id="call-7")
    assert events[0].started.request_id == "call-7"
    assert events[0].started.recording.container == "pcm"
    assert events[0].started.recording.sample_rate_hz == 16_000


async def test_the_last_event_sums_up(door):
    _, events = await door.events()
    completed = events[-1].completed
    assert completed.duration.ToNanoseconds() == 10_000_000_000
    assert list(completed.speakers) == ["SPEAKER_00", "SPEAKER_01"]
    assert (completed.segments, completed.words, completed.partial) == (3, 12, False)
    assert [stage.stage for stage in completed.stages] == [
        gateway_pb2.STAGE_ASR,
        gateway_pb2.STAGE_DIARIZATION,
    ]
    assert all(stage.timing.compute_duration.nanos == 125_000_000 for stage in completed.stages)
    assert all(stage.attempts == 1 for stage in completed.stages)
    assert [model.name for model in completed.models] == ["fake-asr", "fake-diarization"]
    assert [turn.speaker for turn in completed.turns] == [speaker for _, _, speaker in TURNS]


async def test_progress_of_every_stage_reaches_the_end(door):
    transcript, events = await door.events()
    for stage in (gateway_pb2.STAGE_UPLOAD, gateway_pb2.STAGE_ASR, gateway_pb2.STAGE_DIARIZATION):
        reached = [
            event.progress.processed.ToNanoseconds() for event in events if event.progress.stage == stage
        ]
        assert reached == sorted(reached)
        assert transcript.progress[stage].processed.seconds == 10
        assert transcript.progress[stage].total.seconds == 10
        assert stage == gateway_pb2.STAGE_UPLOAD or transcript.stages[stage].status.code == 0


async def test_a_word_carries_what_recognition_knew(door):
    word = (await door.transcript()).segments[1].words[0]
    assert (word.text, word.start.seconds, word.end.nanos) == ("well", 3, 500_000_000)
    assert word.confidence == 0.5
    assert word.timing == 1
    assert word.speaker == "SPEAKER_01"


async def test_backends_get_the_recording_decoded_and_what_the_caller_said(tmp_path):
    asr, diarizer = recognition(*UTTERANCES), diarization(*TURNS)
    hints = diarization_pb2.SpeakerHints(minimum=1, maximum=3)
    async with deployed(tmp_path, asr, diarizer) as door:
        await door.transcript(7.5, request_id="call-7", language="en", speakers=hints)
    for call in (asr.calls[0], diarizer.calls[0]):
        assert call.request_id == call.metadata["x-request-id"] == "call-7"
        assert call.config.audio_format.pcm.sample_rate_hz == 16_000
        assert call.config.audio_format.pcm.encoding == audio_pb2.PCM_ENCODING_S16LE
        assert call.config.audio_format.pcm.channels == 1
        assert call.received == 7.5 * 32_000
        assert call.ending.result() == "done"
    assert asr.calls[0].config.language == "en"
    assert diarizer.calls[0].config.speakers == hints


async def test_a_request_id_that_no_header_can_hold_reaches_the_backends(tmp_path):
    asr, diarizer = recognition(), diarization()
    async with deployed(tmp_path, asr, diarizer) as door:
        reply = await door.file(1.0, request_id="Müller #7")
    assert {reply.request_id, asr.calls[0].request_id, diarizer.calls[0].request_id} == {"Müller #7"}


async def test_a_request_id_is_made_up_once_for_all(tmp_path):
    asr, diarizer = recognition(), diarization()
    async with deployed(tmp_path, asr, diarizer) as door:
        reply = await door.file(1.0)
    assert reply.request_id
    assert {asr.calls[0].request_id, diarizer.calls[0].request_id} == {reply.request_id}


async def test_silence_is_a_transcript_without_segments(tmp_path):
    async with deployed(tmp_path, recognition(), diarization()) as door:
        transcript = await door.transcript(1.0)
    assert transcript.segments == []
    assert transcript.completed is not None
    assert not transcript.completed.partial


async def test_early_turns_label_segments_while_both_stages_still_work(tmp_path):
    asr, diarizer, transcript = recognition(*UTTERANCES), diarization(*TURNS), Transcript()
    diarizer.script.insert(1, early(2.8, turns_update(TURNS[:1], horizon=2.8, final=2.6)))
    asr.released.clear()
    diarizer.released.clear()
    async with deployed(tmp_path, asr, diarizer) as door, asyncio.timeout(10):
        async for event in door.client.transcribe(audio(10.0), configuration(pcm=PCM)):
            transcript.apply(event)
            if (event.segment.speaker, event.segment.text) == SPOKEN[0]:
                asr.released.set()
                diarizer.released.set()
    assert spoken(transcript.final_segments) == SPOKEN


def early_diarization(**options):
    """Labels that are wrong at first and corrected in place, all of it while the recording arrives."""
    diarizer = diarization(*TURNS, **options)
    diarizer.script[1:1] = [
        early(4.0, turns_update([(0.4, 2.6, "SPEAKER_00")], horizon=3.0, final=0)),
        early(6.5, turns_update([(2.9, 6.0, "SPEAKER_00")], since=2.7, horizon=6.0, final=0)),
        early(8.5, turns_update([(2.9, 6.0, "SPEAKER_01")], since=2.7, until=5.5, horizon=6.0, final=0)),
    ]
    return diarizer


async def test_segments_are_labelled_and_relabelled_while_the_recording_is_uploaded(tmp_path):
    diarizer, seen, uploading = early_diarization(), [], asyncio.Event()
    transcript = Transcript()

    async def held_open():
        async for chunk in audio(9.0, chunk_bytes=16_000):
            yield chunk
        await uploading.wait()

    async with deployed(tmp_path, recognition(*UTTERANCES), diarizer) as door, asyncio.timeout(10):
        async for event in door.client.transcribe(held_open(), configuration(pcm=PCM)):
            transcript.apply(event)
            labels = spoken(transcript.segments)
            if labels and (not seen or seen[-1] != labels):
                seen.append(labels)
            if ("SPEAKER_01", UTTERANCES[1][2]) in labels:
                uploading.set()
    second = [{text: speaker for speaker, text in labels}.get(UTTERANCES[1][2]) for labels in seen]
    assert [speaker for speaker, _ in itertools.groupby(second) if speaker is not None] == [
        "",
        "SPEAKER_00",
        "SPEAKER_01",
    ]
    assert spoken(transcript.segments) == spoken(transcript.final_segments) == SPOKEN


async def test_early_labels_change_nothing_for_who_wants_final_results(tmp_path):
    async with deployed(tmp_path, recognition(*UTTERANCES), early_diarization()) as door:
        replayed = await door.transcript()
        final, events = await door.events(final_only=True)
        reply = await door.file()
    assert [event.segment.revision for event in events if event.HasField("segment")] == [0, 0, 0]
    assert spoken(final.segments) == spoken(reply.segments) == spoken(replayed.segments) == SPOKEN


async def test_diarizations_progress_follows_its_horizon(tmp_path):
    async with deployed(tmp_path, recognition(*UTTERANCES), early_diarization()) as door:
        _, events = await door.events()
    reached = [
        event.progress.processed.seconds
        for event in events
        if event.progress.stage == gateway_pb2.STAGE_DIARIZATION
    ]
    assert {3, 6} <= set(reached) <= {0, 3, 5, 6, 10}
    assert reached == sorted(reached)


@pytest.mark.parametrize("wanted", [False, True])
async def test_voices_and_overlaps_are_handed_on(tmp_path, wanted):
    diarizer = diarization(*TURNS)
    told = diarizer.script[-1].message.completed
    told.voices.add(label="SPEAKER_00", embedding=[0.6, 0.8], model_fingerprint="ab")
    told.overlaps.add().end.seconds = 2
    diarizer.script[-2].message.turns.turns[0].confidence = 0.5
    async with deployed(tmp_path, recognition(*UTTERANCES), diarizer) as door:
        transcript = await door.transcript(speaker_embeddings=wanted)
        reply = await door.file(speaker_embeddings=wanted)
    assert [call.config.speaker_embeddings for call in diarizer.calls] == [wanted, wanted]
    assert transcript.voices == told.voices == reply.completed.voices
    assert transcript.completed.overlaps == told.overlaps
    confidences = [turn.confidence if turn.HasField("confidence") else None for turn in reply.completed.turns]
    assert confidences == [0.5, None, None]


async def test_the_gateway_describes_its_backends(door):
    description = await door.client.describe()
    assert description.asr.family == "fake"
    assert description.diarization.resolution.nanos == 250_000_000
    assert description.limits.max_message_bytes == 4 * 1024 * 1024


async def test_a_backend_that_is_down_is_absent_from_the_description(tmp_path):
    asr = recognition()
    async with deployed(tmp_path, asr, diarization()) as door:
        await door.kill(asr)
        description = await door.client.describe()
    assert not description.HasField("asr")
    assert description.HasField("diarization")


async def test_who_wants_no_speakers_costs_no_diarization(tmp_path):
    asr, diarizer = recognition(*UTTERANCES), diarization(*TURNS)
    async with deployed(tmp_path, asr, diarizer) as door:
        transcript = await door.transcript(omit_speakers=True)
        reply = await door.file(omit_speakers=True)
    assert (
        spoken(transcript.final_segments) == spoken(reply.segments) == [("", text) for *_, text in UTTERANCES]
    )
    assert (len(asr.calls), len(diarizer.calls)) == (2, 0)
    assert [stage.stage for stage in reply.completed.stages] == [gateway_pb2.STAGE_ASR]
    assert not reply.completed.partial


@pytest.mark.parametrize(
    "contradiction",
    [{"speakers": diarization_pb2.SpeakerHints(exact=2)}, {"speaker_embeddings": True}],
)
async def test_speakers_cannot_be_asked_for_and_left_out(door, contradiction):
    error = await refusal(door.file(omit_speakers=True, **contradiction))
    assert (error.code, error.field) == (StatusCode.INVALID_ARGUMENT, "config.results.omit_speakers")
