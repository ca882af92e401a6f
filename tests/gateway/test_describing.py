"""A description in words."""

from typing import Any

from gateway.commands.describing import description_lines
from speech.asr.v1 import asr_pb2
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2


def told(**recognition: Any) -> str:
    model = audio_pb2.ModelInfo(role="recognition", name="tiny", engine="fake 1.0", provider="cpu")
    asr = asr_pb2.DescribeRecognitionResponse(models=[model], **recognition)
    described = gateway_pb2.DescribeTranscriptionResponse(asr=asr)
    return "\n".join(description_lines("localhost:50050", described))


def test_says_why_recognition_runs_where_it_runs_and_what_it_decodes_together() -> None:
    text = told(provider_reason="no GPU was found", max_batch=8)
    assert "fake 1.0 on cpu\n  provider: no GPU was found\n  decodes up to 8 utterances together\n" in text


def test_says_how_diarization_works() -> None:
    fast = diarization_pb2.DescribeDiarizationResponse(early_turns=True, mode="fast")
    described = gateway_pb2.DescribeTranscriptionResponse(diarization=fast)
    assert "  fast mode; turns come while audio arrives" in description_lines("localhost:50050", described)


def test_says_nothing_of_a_choice_that_there_was_not() -> None:
    text = told(max_batch=1)
    assert "provider" not in text
    assert "together" not in text
