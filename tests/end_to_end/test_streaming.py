"""What a caller sees while a recording is still being sent, and that both calls tell the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.corpus import conversation
from gateway.client import Transcript, configuration
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from support.transcripts import Caller, replayed, spoken_words

pytestmark = pytest.mark.models

PCM = audio_pb2.PcmFormat(encoding=audio_pb2.PCM_ENCODING_S16LE, sample_rate_hz=16_000, channels=1)


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return conversation(12).write_wav(tmp_path_factory.mktemp("recordings") / "conversation.wav")


async def test_segments_come_before_the_upload_ends(caller: Caller) -> None:
    recording = conversation(25)
    heard = asyncio.Event()

    async def upload() -> AsyncIterator[bytes]:
        yield recording.samples.tobytes()
        # The last bytes, and with them the end of the recording, are sent only once a segment has arrived.
        async with asyncio.timeout(120):
            await heard.wait()

    transcript = Transcript()
    async for event in caller.client.transcribe(upload(), configuration(pcm=PCM)):
        transcript.apply(event)
        if event.HasField("segment") and not heard.is_set():
            assert event.segment.text
            assert event.segment.text_final
            assert not event.segment.speaker_final
            assert transcript.completed is None
            heard.set()
    assert transcript.completed is not None
    assert transcript.final_segments == transcript.segments


async def test_speakers_come_before_the_upload_ends(caller: Caller) -> None:
    recording = conversation(30)
    labelled = asyncio.Event()

    async def upload() -> AsyncIterator[bytes]:
        yield recording.samples.tobytes()
        async with asyncio.timeout(180):
            await labelled.wait()

    transcript = Transcript()
    async for event in caller.client.transcribe(upload(), configuration(pcm=PCM)):
        transcript.apply(event)
        if event.segment.speaker and not labelled.is_set():
            assert not event.segment.speaker_final
            labelled.set()
    assert transcript.final_segments == transcript.segments
    assert transcript.speakers == [voice.label for voice in transcript.voices]


async def test_replaying_events_gives_what_transcribe_file_returns(caller: Caller, wav: Path) -> None:
    streamed = await caller.transcribe(wav)
    whole = await caller.transcribe_file(wav)
    assert spoken_words(streamed) == spoken_words(whole)
    assert [segment.text for segment in streamed.segments] == [segment.text for segment in whole.segments]
    assert len(spoken_words(whole)) > 10


async def test_final_only_sends_each_segment_once_and_in_order(caller: Caller, wav: Path) -> None:
    with wav.open("rb") as file:
        data = file.read()

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    events = await caller.events(chunks(), final_only=True)
    segments = [event.segment for event in events if event.HasField("segment")]
    assert all(segment.text_final and segment.speaker_final and segment.revision == 0 for segment in segments)
    assert [segment.segment_id for segment in replayed(events).segments] == [s.segment_id for s in segments]


async def test_the_number_of_speakers_can_be_told(caller: Caller, wav: Path) -> None:
    transcript = await caller.transcribe_file(wav, speakers=diarization_pb2.SpeakerHints(exact=1))
    assert transcript.speakers == ["SPEAKER_00"]
