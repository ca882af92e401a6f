"""What the command line asks for, for all recordings alike."""

from dataclasses import dataclass
from uuid import uuid4

from gateway.client import configuration
from gateway.commands.arguments import RawAudio, Speakers
from gateway.rendering.formats import OutputFormat
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2

_ENCODINGS = {
    "s16le": audio_pb2.PCM_ENCODING_S16LE,
    "f32le": audio_pb2.PCM_ENCODING_F32LE,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of `duoscribe transcribe` that a gateway, or a renderer, is told of."""

    output_format: OutputFormat
    speakers: Speakers | None = None
    raw: RawAudio | None = None
    language: str = ""
    final_only: bool = False
    accept_partial: bool = False
    speaker_embeddings: bool = False

    def config(self, name: str, *, final_only: bool, omit_progress: bool) -> gateway_pb2.TranscriptionConfig:
        """The first message of the recording `name`, under a request id of its own."""
        return configuration(
            name=name,
            pcm=_pcm(self.raw) if self.raw else None,
            request_id=uuid4().hex,
            language=self.language,
            speakers=_hints(self.speakers) if self.speakers else None,
            final_only=final_only,
            accept_partial=self.accept_partial,
            omit_progress=omit_progress,
            speaker_embeddings=self.speaker_embeddings,
        )


def _pcm(raw: RawAudio) -> audio_pb2.PcmFormat:
    return audio_pb2.PcmFormat(
        encoding=_ENCODINGS[raw.encoding], sample_rate_hz=raw.sample_rate_hz, channels=raw.channels
    )


def _hints(speakers: Speakers) -> diarization_pb2.SpeakerHints:
    return diarization_pb2.SpeakerHints(
        exact=speakers.exact, minimum=speakers.minimum, maximum=speakers.maximum
    )
