"""Every field of a form is honoured, or refused by its name."""

import pytest

from gateway.http.form import Field
from gateway.http.wanted import ResponseFormat, Wanted
from serving.errors import InvalidRequest

MODELS = ("whisper-1", "ours")
FIRST = ("model", "whisper-1")


def wanted(*fields):
    return Wanted.of([Field(*field) for field in fields], MODELS)


PLAIN = wanted(FIRST)


def test_a_model_is_enough():
    assert Wanted(response_format=ResponseFormat.JSON, stream=False, language="", granularities=()) == PLAIN
    assert wanted(("model", "ours")) == PLAIN


def test_all_that_can_be_asked_for():
    fields = [("language", " de "), ("response_format", "verbose_json"), ("stream", "False")]
    lists = [("timestamp_granularities[]", "word"), ("timestamp_granularities", "segment")]
    assert wanted(FIRST, *fields, *lists) == Wanted(
        response_format=ResponseFormat.VERBOSE_JSON,
        stream=False,
        language="de",
        granularities=("word", "segment"),
    )
    for streamed in ("json", "text", "diarized_json"):
        assert wanted(FIRST, ("stream", "true"), ("response_format", streamed)).stream


@pytest.mark.parametrize(
    "field",
    [
        ("temperature", "0"),
        ("temperature", "0.0"),
        ("chunking_strategy", "auto"),
        ("chunking_strategy[type]", "server_vad"),
        *((name, "") for name in ("prompt", "language", "stream", "response_format", "include[]")),
    ],
)
def test_what_is_so_anyhow_may_be_said(field):
    assert wanted(FIRST, field) == PLAIN


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ([], "model"),
        ([("model", "gpt-9")], "model"),
        ([FIRST, FIRST], "model"),
        ([FIRST, ("response_format", "yaml")], "response_format"),
        ([FIRST, ("stream", "maybe")], "stream"),
        ([FIRST, ("stream", "true"), ("response_format", "srt")], "response_format"),
        ([FIRST, ("timestamp_granularities[]", "word")], "timestamp_granularities"),
        (
            [FIRST, ("response_format", "verbose_json"), ("timestamp_granularities[]", "token")],
            "timestamp_granularities",
        ),
        ([FIRST, ("temperature", "0.2")], "temperature"),
        ([FIRST, ("temperature", "hot")], "temperature"),
        ([FIRST, ("include[]", "logprobs")], "include"),
        ([FIRST, ("languages[]", "en")], "languages"),
        ([FIRST, ("keywords[]", "Duoscribe")], "keywords"),
        ([FIRST, ("known_speaker_names[]", "agent")], "known_speaker_names"),
        ([FIRST, ("known_speaker_references[]", "data:")], "known_speaker_references"),
        ([FIRST, ("chunking_strategy", "none")], "chunking_strategy"),
        ([FIRST, ("chunking_strategy[threshold]", "0.5")], "chunking_strategy[threshold]"),
        ([FIRST, ("speakers", "2")], "speakers"),
        ([FIRST, ("prompt", "Duoscribe, diarization")], "prompt"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_its_name(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        wanted(*fields)
    assert caught.value.field == param
    assert caught.value.message.startswith(
        (param, "the form needs a", "there is no such model", "stream goes")
    )
