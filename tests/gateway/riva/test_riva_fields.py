"""Whatever a caller of Riva's asks for is honoured, or refused by its name: nothing is passed over."""

import pytest
import riva.client
from google.rpc import error_details_pb2
from grpc import StatusCode
from riva.client.proto import riva_asr_pb2
from riva.client.proto.riva_asr_pb2 import RecognitionConfig, SpeechContext, StreamingRecognitionConfig

from support.gateway.deployment import deployed
from support.gateway.fakes import diarization, failing, recognition
from support.gateway.riva import calling, config, cut, diarized, refusal, silence

HONOURED = {
    "encoding": riva.client.AudioEncoding.LINEAR_PCM,
    "sample_rate_hertz": 16_000,
    "audio_channel_count": 1,
    "language_code": "en-US",
    "max_alternatives": 5,
    "enable_word_time_offsets": True,
    "enable_automatic_punctuation": True,
    "model": "fake-asr",
    "verbatim_transcripts": True,
    "diarization_config": {"enable_speaker_diarization": True, "max_speaker_count": 2},
}
REFUSED = {
    "profanity_filter": True,
    "speech_contexts": [SpeechContext(phrases=["Duoscribe"], boost=10.0)],
    "enable_separate_recognition_per_channel": True,
    "custom_configuration": {"apply_partial_itn": "true"},
    "endpointing_config": {"stop_history": 800},
}
# Field 26 of RecognitionConfig, set to true: `get_vad_probabilities` of newer ones.
OF_A_NEWER_RIVA = b"\xd0\x01\x01"


@pytest.fixture
async def caller(tmp_path):
    asr = recognition((0.5, 2.5, "hello there you"))
    async with deployed(tmp_path, asr, diarization()) as door, calling(door.address) as riva_caller:
        yield riva_caller


def test_it_is_known_of_every_field_what_becomes_of_it():
    assert {field.name for field in RecognitionConfig.DESCRIPTOR.fields} == {*HONOURED, *REFUSED}
    assert {field.name for field in StreamingRecognitionConfig.DESCRIPTOR.fields} == {
        "config",
        "interim_results",
    }


@pytest.mark.parametrize("field", HONOURED)
async def test_a_field_that_is_honoured_is_taken(caller, field):
    assert (await caller.recognize(silence(3.0), config(**{field: HONOURED[field]}))).results


@pytest.mark.parametrize("field", REFUSED)
async def test_a_field_that_cannot_be_honoured_is_refused_by_name(caller, field):
    wanted = config(**{field: REFUSED[field]})
    whole = await refusal(caller.recognize(silence(), wanted))
    streamed = await refusal(caller.stream(cut(silence()), wanted))
    assert whole.code is streamed.code is StatusCode.INVALID_ARGUMENT
    assert field in whole.message
    assert (whole.field, streamed.field) == (f"config.{field}", f"streaming_config.config.{field}")


async def test_a_field_of_a_newer_riva_is_refused_by_number(caller):
    wanted = config()
    wanted.MergeFromString(OF_A_NEWER_RIVA)
    refused = await refusal(caller.recognize(silence(), wanted))
    assert (refused.code, refused.field) == (StatusCode.INVALID_ARGUMENT, "config")
    assert "field 26 of nvidia.riva.asr.RecognitionConfig" in refused.message


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (config(encoding=99), "encoding"),
        (config(max_alternatives=-1), "max_alternatives"),
        (diarized(most=101), "diarization_config.max_speaker_count"),
        (diarized(most=-1), "diarization_config.max_speaker_count"),
        (config(diarization_config={"max_speaker_count": 2}), "diarization_config.max_speaker_count"),
        (config(model="parakeet"), "model"),
    ],
)
async def test_values_that_mean_nothing_are_refused_by_name(caller, wanted, field):
    refused = await refusal(caller.recognize(silence(), wanted))
    assert (refused.code, refused.field) == (StatusCode.INVALID_ARGUMENT, f"config.{field}")


async def test_what_recognition_objects_to_is_named_as_the_caller_knows_it(tmp_path):
    asr = recognition(faults=[unknown_language()])
    async with deployed(tmp_path, asr, diarization()) as door, calling(door.address) as caller:
        refused = await refusal(caller.recognize(silence(), config(language_code="tlh")))
    assert (refused.code, refused.field) == (StatusCode.INVALID_ARGUMENT, "config.language_code")
    assert "does not know the language" in refused.message


async def test_the_models_that_run_are_listed_for_both_calls(caller):
    ask = riva_asr_pb2.RivaSpeechRecognitionConfigRequest
    stub = caller.service.stub
    listed = (await caller.threaded(stub.GetRivaSpeechRecognitionConfig, ask())).model_config
    assert [(model.model_name, model.parameters["type"]) for model in listed] == [
        ("fake-asr", "offline"),
        ("fake-asr", "online"),
    ]
    assert {model.parameters["language_code"] for model in listed} == {"en"}
    one = ask(model_name="fake-asr")
    assert (await caller.threaded(stub.GetRivaSpeechRecognitionConfig, one)).model_config == listed
    other = ask(model_name="parakeet")
    refused = await refusal(caller.threaded(stub.GetRivaSpeechRecognitionConfig, other))
    assert (refused.code, refused.field) == (StatusCode.INVALID_ARGUMENT, "model_name")


async def test_without_recognition_there_is_no_model_to_ask_for(tmp_path):
    asr = recognition()
    async with deployed(tmp_path, asr, diarization()) as door, calling(door.address) as caller:
        await door.kill(asr)
        ask = riva_asr_pb2.RivaSpeechRecognitionConfigRequest()
        refused = await refusal(caller.threaded(caller.service.stub.GetRivaSpeechRecognitionConfig, ask))
    assert refused.code is StatusCode.UNAVAILABLE


def unknown_language():
    """As speech recognition objects."""
    violation = error_details_pb2.BadRequest.FieldViolation(
        field="config.language", description="the model does not know the language 'tlh', only en"
    )
    refusal = error_details_pb2.BadRequest(field_violations=[violation])
    return failing(StatusCode.INVALID_ARGUMENT, "no", refusal, after=0)
