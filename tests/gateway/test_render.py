"""Every format of a transcript, by example and by property."""

import json
import re
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from gateway.rendering import OutputFormat, render
from gateway.rendering.cues import MAX_CHARACTERS, MAX_MS, cues
from gateway.rendering.document import render_json_line
from speech.audio.v1.audio_pb2 import ModelInfo, TimeSpan
from speech.diarization.v1.diarization_pb2 import SpeakerVoice, Turn
from speech.gateway.v1.gateway_pb2 import (
    AttributedWord,
    Segment,
    TranscribeFileResponse,
    TranscriptionCompleted,
)

SCHEMA = Path(__file__).parents[2] / "docs" / "transcript.schema.json"
TIMES = re.compile(r"^(\d\d):(\d\d):(\d\d)[,.](\d\d\d) --> (\d\d):(\d\d):(\d\d)[,.](\d\d\d)$", re.MULTILINE)


def ms(time_ms: int) -> Duration:
    return Duration(seconds=time_ms // 1000, nanos=time_ms % 1000 * 1_000_000)


def span(start_ms: int, end_ms: int) -> TimeSpan:
    return TimeSpan(start=ms(start_ms), end=ms(end_ms))


def segment(speaker: str, *words: tuple[str, int, int], segment_id: str = "s0") -> Segment:
    return Segment(
        segment_id=segment_id,
        text_final=True,
        speaker_final=True,
        span=span(words[0][1], max(end for _, _, end in words)),
        speaker=speaker,
        text=" ".join(text for text, _, _ in words),
        words=[
            AttributedWord(text=text, start=ms(start), end=ms(end), speaker=speaker)
            for text, start, end in words
        ],
    )


def transcript(*segments: Segment, **completed: Any) -> TranscribeFileResponse:
    return TranscribeFileResponse(segments=segments, completed=TranscriptionCompleted(**completed))


def example() -> TranscribeFileResponse:
    greeting = segment("SPEAKER_00", ("Hello", 6_690, 6_900), ("there.", 6_900, 7_120))
    answer = segment(
        "SPEAKER_01", ("Q&A", 3_661_000, 3_661_400), ("<b>-->", 3_661_400, 3_662_060), segment_id="s1"
    )
    greeting.words[0].confidence = 0.875
    return transcript(
        greeting,
        answer,
        duration=ms(3_700_000),
        speakers=["SPEAKER_00", "SPEAKER_01"],
        models=[
            ModelInfo(
                role="recognition", name="whisper-tiny.en", fingerprint="d3dd", engine="sherpa-onnx 2.0.1"
            ),
            ModelInfo(role="embedding", name="wespeaker-resnet34", license="CC-BY-4.0", provider="cpu"),
        ],
        turns=[
            Turn(span=span(6_690, 7_120), speaker="SPEAKER_00", confidence=0.75),
            Turn(span=span(3_660_999, 3_662_100), speaker="SPEAKER_01"),
        ],
        overlaps=[span(6_900, 7_000)],
        voices=[
            SpeakerVoice(
                label="SPEAKER_00", speech_duration=ms(430), embedding=[0.6, -0.8], model_fingerprint="ab"
            ),
            SpeakerVoice(label="SPEAKER_01", speech_duration=ms(1_101)),
        ],
    )


def test_text_is_one_line_a_segment() -> None:
    assert render(example(), OutputFormat.TEXT, name="call.wav") == (
        "[0:06.7 - 0:07.1] SPEAKER_00: Hello there.\n[1:01:01.0 - 1:01:02.1] SPEAKER_01: Q&A <b>-->\n"
    )


def test_text_leaves_an_unknown_speaker_out() -> None:
    assert (
        render(transcript(segment("", ("Hm.", 0, 99))), OutputFormat.TEXT, name="")
        == "[0:00.0 - 0:00.1] Hm.\n"
    )


def test_srt_numbers_cues_and_names_the_speaker_where_it_changes() -> None:
    same_again = segment("SPEAKER_00", ("Anyone?", 8_000, 8_500))
    heard = transcript(*example().segments[:1], same_again, *example().segments[1:])
    assert render(heard, OutputFormat.SRT, name="call.wav") == (
        "1\n00:00:06,690 --> 00:00:07,120\nSPEAKER_00: Hello there.\n\n"
        "2\n00:00:08,000 --> 00:00:08,500\nAnyone?\n\n"
        "3\n01:01:01,000 --> 01:01:02,060\nSPEAKER_01: Q&A <b>-->\n"
    )


def test_vtt_has_voices_and_escapes_markup() -> None:
    assert render(example(), OutputFormat.VTT, name="call.wav") == (
        "WEBVTT\n\n"
        "00:00:06.690 --> 00:00:07.120\n<v SPEAKER_00>Hello there.</v>\n\n"
        "01:01:01.000 --> 01:01:02.060\n<v SPEAKER_01>Q&amp;A &lt;b&gt;--&gt;</v>\n"
    )


def test_vtt_has_no_voice_for_an_unknown_speaker() -> None:
    assert render(transcript(segment("", ("Hm.", 0, 99))), OutputFormat.VTT, name="").endswith("0.099\nHm.\n")


def test_rttm_has_one_line_a_turn_and_no_spaces_in_the_name() -> None:
    assert render(example(), OutputFormat.RTTM, name="/tmp/my first call.tar.wav") == (
        "SPEAKER my_first_call.tar 1 6.690 0.430 <NA> <NA> SPEAKER_00 0.750 <NA>\n"
        "SPEAKER my_first_call.tar 1 3660.999 1.101 <NA> <NA> SPEAKER_01 <NA> <NA>\n"
    )


def test_json_has_the_documented_shape() -> None:
    document = json.loads(render(example(), OutputFormat.JSON, name="call.wav"))
    assert list(document) == ["duration", "speakers", "segments", "turns", "overlaps", "voices", "models"]
    assert document["duration"] == 3700.0
    assert document["segments"][0] == {
        "id": "s0",
        "start": 6.69,
        "end": 7.12,
        "speaker": "SPEAKER_00",
        "text": "Hello there.",
        "words": [
            {"text": "Hello", "start": 6.69, "end": 6.9, "confidence": 0.875, "speaker": "SPEAKER_00"},
            {"text": "there.", "start": 6.9, "end": 7.12, "confidence": None, "speaker": "SPEAKER_00"},
        ],
    }
    assert document["turns"] == [
        {"start": 6.69, "end": 7.12, "speaker": "SPEAKER_00", "confidence": 0.75},
        {"start": 3660.999, "end": 3662.1, "speaker": "SPEAKER_01", "confidence": None},
    ]
    assert document["overlaps"] == [{"start": 6.9, "end": 7.0}]
    assert document["voices"] == [
        {"speaker": "SPEAKER_00", "duration": 0.43, "embedding": [0.6, -0.8], "fingerprint": "ab"},
        {"speaker": "SPEAKER_01", "duration": 1.101, "embedding": None, "fingerprint": None},
    ]
    assert document["models"]["embedding"]["license"] == "CC-BY-4.0"
    assert document["models"]["recognition"]["license"] is None


@pytest.mark.parametrize("partial", [False, True])
def test_json_says_that_it_is_partial_only_where_it_is(partial: bool) -> None:
    said = example()
    said.completed.partial = partial
    document = json.loads(render(said, OutputFormat.JSON, name=""))
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert document.get("partial", "absent") == (True if partial else "absent")


def test_schema_refuses_what_is_not_documented() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    document = json.loads(render(example(), OutputFormat.JSON, name=""))
    document["segments"][0]["words"][0]["start"] = -1
    with pytest.raises(jsonschema.ValidationError, match="minimum"):
        jsonschema.validate(document, schema)


@pytest.mark.parametrize(
    ("output_format", "empty"),
    [("text", ""), ("srt", ""), ("vtt", "WEBVTT\n"), ("rttm", "")],
)
def test_silence_gives_an_empty_but_valid_file(output_format: str, empty: str) -> None:
    assert render(transcript(), OutputFormat(output_format), name="silence.wav") == empty


def test_long_segments_are_cut_after_sentences() -> None:
    first = [("Yes,", 0, 500), ("I", 500, 600), ("did.", 600, 900)]
    rest = [(f"w{i}", 1_000 + 700 * i, 1_600 + 700 * i) for i in range(9)]
    shown = cues([segment("SPEAKER_00", *first, *rest)])
    assert [cue.text for cue in shown] == ["Yes, I did.", " ".join(text for text, _, _ in rest)]


def test_long_sentences_are_cut_after_clauses() -> None:
    words = [(f"word{i}" + ("," if i == 8 else ""), 100 * i, 100 * i + 90) for i in range(20)]
    assert cues([segment("", *words)])[0].words[-1] == "word8,"


def test_two_lines_are_about_the_same_length() -> None:
    words = [("abcdefgh", 10 * i, 10 * i + 9) for i in range(8)]
    assert [len(line) for line in cues([segment("", *words)])[0].lines()] == [35, 35]


printable = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=30
)
word_texts = printable.map(lambda text: "".join(text.split())).filter(bool)


@st.composite
def transcripts(draw: st.DrawFn) -> TranscribeFileResponse:
    """Words in order of start, some of no length, some overlapping the next, some far away."""
    now = 0
    segments = []
    for number in range(draw(st.integers(0, 5))):
        words = []
        for text in draw(st.lists(word_texts, min_size=1, max_size=30)):
            now += draw(st.integers(0, 3_000))
            words.append((text, now, now + draw(st.integers(0, 2_000))))
        speaker = draw(st.sampled_from(["", "SPEAKER_00", "SPEAKER_01", "R & D <x>"]))
        segments.append(segment(speaker, *words, segment_id=f"s{number}"))
    return transcript(*segments, duration=ms(now + 4_000), speakers=["SPEAKER_00"])


def all_words(said: TranscribeFileResponse) -> list[str]:
    return [word.text for each in said.segments for word in each.words]


def shown_times(subtitles: str) -> list[tuple[int, int]]:
    def milliseconds(hours: str, minutes: str, seconds: str, fraction: str) -> int:
        return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(fraction)

    return [(milliseconds(*found[:4]), milliseconds(*found[4:])) for found in TIMES.findall(subtitles)]


@given(transcripts())
def test_cues_hold_every_word_once_in_order(said: TranscribeFileResponse) -> None:
    assert [word for cue in cues(said.segments) for word in cue.words] == all_words(said)


@given(transcripts())
def test_cues_are_short_enough_to_read(said: TranscribeFileResponse) -> None:
    for cue in cues(said.segments):
        if len(cue.words) > 1:
            assert len(cue.text) <= MAX_CHARACTERS
            assert cue.end_ms - cue.start_ms <= MAX_MS


@given(transcripts(), st.sampled_from([OutputFormat.SRT, OutputFormat.VTT]))
def test_subtitle_times_only_go_forward(said: TranscribeFileResponse, output_format: OutputFormat) -> None:
    times = shown_times(render(said, output_format, name="x"))
    assert len(times) == len(cues(said.segments))
    assert all(start < end for start, end in times)
    assert all(end <= start for (_, end), (start, _) in pairwise(times))


@given(transcripts())
def test_vtt_text_reads_back(said: TranscribeFileResponse) -> None:
    blocks = render(said, OutputFormat.VTT, name="x").split("\n\n")[1:]
    texts = [re.sub(r"</?v[^>]*>", "", block.split("\n", 1)[1]) for block in blocks]
    assert unescape(" ".join(texts)).split() == all_words(said)


@given(transcripts(), st.booleans())
def test_json_reads_back_and_fits_its_schema(said: TranscribeFileResponse, one_line: bool) -> None:
    written = render_json_line(said) if one_line else render(said, OutputFormat.JSON, name="x")
    assert not one_line or written.count("\n") == 1
    document = json.loads(written)
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    read = [
        segment(
            each["speaker"] or "",
            *(
                (word["text"], round(word["start"] * 1000), round(word["end"] * 1000))
                for word in each["words"]
            ),
            segment_id=each["id"],
        )
        for each in document["segments"]
    ]
    assert read == list(said.segments)
