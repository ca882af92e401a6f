"""How raw samples without a header lie in their bytes."""

from dataclasses import dataclass

from serving.decoding.limits import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ
from serving.errors import InvalidAudio, InvalidConfig
from serving.times import SAMPLE_RATE
from speech.audio.v1 import audio_pb2

_FIELD = "config.audio_format.pcm"

# FFmpeg's sample format, codec name and bytes a sample of each encoding.
_ENCODINGS = {
    audio_pb2.PCM_ENCODING_S16LE: ("s16", "pcm_s16le", 2),
    audio_pb2.PCM_ENCODING_F32LE: ("flt", "pcm_f32le", 4),
}


@dataclass(frozen=True)
class RawLayout:
    """How raw bytes are cut into samples."""

    sample_format: str
    codec: str
    sample_bytes: int
    rate: int
    channels: int

    @classmethod
    def checked(cls, pcm: audio_pb2.PcmFormat) -> "RawLayout":
        """Raises InvalidConfig."""
        if pcm.encoding not in _ENCODINGS:
            raise InvalidConfig(
                "say how the raw samples are stored: S16LE or F32LE", field=f"{_FIELD}.encoding"
            )
        if not MIN_RATE_HZ <= pcm.sample_rate_hz <= MAX_RATE_HZ:
            raise InvalidConfig(
                f"{pcm.sample_rate_hz} Hz is no sample rate for raw samples; "
                f"give the real one, {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz",
                field=f"{_FIELD}.sample_rate_hz",
            )
        if not 1 <= pcm.channels <= MAX_CHANNELS:
            raise InvalidConfig(
                f"raw samples cannot have {pcm.channels} channels; give their number, 1 to {MAX_CHANNELS}",
                field=f"{_FIELD}.channels",
            )
        return cls(*_ENCODINGS[pcm.encoding], pcm.sample_rate_hz, pcm.channels)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.sample_bytes * self.channels

    @property
    def is_output_format(self) -> bool:
        """Whether nothing is left to do."""
        return (self.sample_format, self.rate, self.channels) == ("s16", SAMPLE_RATE, 1)

    @property
    def info(self) -> audio_pb2.RecordingInfo:
        return audio_pb2.RecordingInfo(
            container="pcm", codec=self.codec, sample_rate_hz=self.rate, channels=self.channels
        )


class WholeFrames:
    """Cuts a stream of bytes at frame boundaries, wherever its pieces end."""

    def __init__(self, layout: RawLayout) -> None:
        self._layout = layout
        self._rest = b""
        self._any = False

    def add(self, piece: bytes) -> bytes:
        """As many whole frames as there are now; may be none."""
        joined = self._rest + piece if self._rest else piece
        whole = len(joined) - len(joined) % self._layout.frame_bytes
        self._rest = joined[whole:]
        self._any = self._any or bool(joined)
        return joined[:whole]

    def finish(self) -> None:
        """Raises InvalidAudio for an upload without bytes, or one that ends within a frame."""
        if not self._any:
            raise InvalidAudio("the upload holds no bytes; send the recording before end_of_audio")
        if self._rest:
            raise InvalidAudio(
                f"the raw samples end with {len(self._rest)} of a frame's {self._layout.frame_bytes} bytes; "
                "send them whole, or correct the encoding and channels in the config"
            )
