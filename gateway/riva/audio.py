"""How the bytes are to be read that Riva's clients send: samples, or files whose own header says what they are.

Those clients send WAV files as LINEAR_PCM, header and all, and leave the encoding out for whatever has a header.
"""

import re
import struct
from collections.abc import AsyncIterator

from riva.client.proto.riva_asr_pb2 import RecognitionConfig
from riva.client.proto.riva_audio_pb2 import AudioEncoding

from serving.decoding.layout import RawLayout
from serving.errors import InvalidAudio, InvalidConfig
from speech.audio.v1 import audio_pb2

# What a recording that is announced so must turn out to be, in FFmpeg's names.
_CODECS = {
    AudioEncoding.LINEAR_PCM: r"pcm_[suf]\d+\w*",
    AudioEncoding.FLAC: "flac",
    AudioEncoding.OGGOPUS: "opus",
    AudioEncoding.MULAW: "pcm_mulaw",
    AudioEncoding.ALAW: "pcm_alaw",
}

# Of samples that are companded, the format tags of WAV (RFC 2361).
_WAV_TAGS = {AudioEncoding.ALAW: 6, AudioEncoding.MULAW: 7}
_RAW = {AudioEncoding.LINEAR_PCM, *_WAV_TAGS}

# As writers to a pipe put it.
_UNKNOWN_SIZE = 0xFFFF_FFFF

_CONTAINER = audio_pb2.AudioFormat(container=audio_pb2.ContainerFormat())

# So much tells whether a recording begins with a header.
_HEAD_BYTES = 12

# What Opus is decoded to, whatever was recorded.
_RATELESS = "opus"


async def opened(
    config: RecognitionConfig, chunks: AsyncIterator[bytes]
) -> tuple[audio_pb2.AudioFormat, AsyncIterator[bytes]]:
    """How a recording is to be read, and what is to be read; waits for its first bytes.

    Companded samples become the WAV file that they would be in. Raises InvalidConfig, InvalidAudio where nothing comes, and
    whatever `chunks` raises.
    """
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD_BYTES:
            break
    if not head:
        raise InvalidAudio("no audio came; send the recording")
    if config.encoding not in _RAW or _is_wav(head):
        return _CONTAINER, _joined(head, chunks)
    pcm = _samples(config, head)
    if config.encoding in _WAV_TAGS:
        return _CONTAINER, _joined(_wav_header(config.encoding, pcm) + head, chunks)
    return audio_pb2.AudioFormat(pcm=pcm), _joined(head, chunks)


def check_announced(config: RecognitionConfig, found: audio_pb2.RecordingInfo) -> None:
    """Raises InvalidConfig where a recording is not what the config says."""
    codec = _CODECS.get(config.encoding)
    if codec is not None and not re.fullmatch(codec, found.codec):
        announced = AudioEncoding.Name(config.encoding)
        raise InvalidConfig(
            f"the encoding announces {announced}, and the recording is {found.codec}; correct it, or leave it out",
            field="config.audio_format",
        )
    if found.codec != _RATELESS and config.sample_rate_hertz not in {0, found.sample_rate_hz}:
        raise InvalidConfig(
            f"{config.sample_rate_hertz} Hz is announced, and the recording has {found.sample_rate_hz} Hz; correct it, or "
            "leave it out",
            field="config.audio_format.pcm.sample_rate_hz",
        )
    if config.audio_channel_count not in {0, found.channels}:
        raise InvalidConfig(
            f"the number of channels announced is {config.audio_channel_count}, and the recording's is {found.channels}; "
            "correct it, or leave it out",
            field="config.audio_format.pcm.channels",
        )


def _samples(config: RecognitionConfig, head: bytes) -> audio_pb2.PcmFormat:
    if head.startswith((b"fLaC", b"OggS")):
        raise InvalidConfig(
            "the encoding announces samples, and a FLAC or Ogg file came; correct it, or leave it out",
            field="config.audio_format",
        )
    pcm = audio_pb2.PcmFormat(
        encoding=audio_pb2.PCM_ENCODING_S16LE,
        sample_rate_hz=config.sample_rate_hertz,
        channels=config.audio_channel_count or 1,
    )
    RawLayout.checked(pcm)
    return pcm


async def _joined(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk


def _is_wav(head: bytes) -> bool:
    return head[:4] in {b"RIFF", b"RF64"} and head[8:12] == b"WAVE"


def _wav_header(encoding: int, pcm: audio_pb2.PcmFormat) -> bytes:
    """Of a file of unknown length, with one byte a sample."""
    rate, channels = pcm.sample_rate_hz, pcm.channels
    described = struct.pack("<HHIIHHH", _WAV_TAGS[encoding], channels, rate, rate * channels, channels, 8, 0)
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", _UNKNOWN_SIZE, b"WAVE"),
            struct.pack("<4sI", b"fmt ", len(described)) + described,
            struct.pack("<4sI", b"data", _UNKNOWN_SIZE),
        )
    )
