"""What a caller of Riva's wants, read from its RecognitionConfig: honoured, or refused by name."""

from riva.client.proto.riva_asr_pb2 import RecognitionConfig
from riva.client.proto.riva_audio_pb2 import AudioEncoding

from serving.errors import InvalidConfig
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2

_HONOURED = frozenset(
    {
        "encoding",
        "sample_rate_hertz",
        "audio_channel_count",
        "language_code",
        "model",
        # The most that are wanted, and one comes.
        "max_alternatives",
        "enable_word_time_offsets",
        "enable_automatic_punctuation",
        # Numbers and the like are as the model writes them, for either value.
        "verbatim_transcripts",
        "diarization_config",
    }
)

# Why others are not.
_REFUSED = {
    "profanity_filter": "no words are masked here",
    "speech_contexts": "recognition takes no hints of words to expect",
    "enable_separate_recognition_per_channel": "channels are mixed down to one before recognition",
    "custom_configuration": "there are no plugins that it could configure",
    "endpointing_config": "where utterances end is set at speech recognition, for all callers",
}
_UNKNOWN = "it is not known here"

# What Riva's clients send where the model shall find out.
_ANY_LANGUAGE = "multi"


def check_config(config: RecognitionConfig, path: str) -> None:
    """`path` is where the caller sent it. Raises InvalidConfig, which names the field that cannot be honoured."""
    for field, _ in config.ListFields():
        if field.name not in _HONOURED:
            reason = _REFUSED.get(field.name, _UNKNOWN)
            raise InvalidConfig(
                f"{field.name} cannot be honoured: {reason}; leave it out", field=f"{path}.{field.name}"
            )
    if config.encoding not in AudioEncoding.values():
        raise InvalidConfig(f"encoding {config.encoding} is not known here", field=f"{path}.encoding")
    if config.max_alternatives < 0:
        raise InvalidConfig(
            "max_alternatives cannot be negative; leave it out", field=f"{path}.max_alternatives"
        )
    diarization = config.diarization_config
    if diarization.max_speaker_count and not diarization.enable_speaker_diarization:
        raise InvalidConfig(
            "max_speaker_count means nothing without enable_speaker_diarization; set that too, or leave it out",
            field=f"{path}.diarization_config.max_speaker_count",
        )


def transcription_config(
    config: RecognitionConfig,
    audio_format: audio_pb2.AudioFormat,
    *,
    request_id: str,
    results: gateway_pb2.ResultOptions,
) -> gateway_pb2.TranscriptionConfig:
    """The same in the gateway's own words."""
    most = config.diarization_config.max_speaker_count
    return gateway_pb2.TranscriptionConfig(
        audio_format=audio_format,
        request_id=request_id,
        language="" if config.language_code == _ANY_LANGUAGE else config.language_code,
        speakers=diarization_pb2.SpeakerHints(maximum=most) if most else None,
        results=results,
    )
