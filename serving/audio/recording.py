"""The door: an upload's bytes in, blocks of mono 16 kHz samples out, while the upload is still running."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import numpy as np

from serving import tracing
from serving.audio import pcm
from serving.audio.decoder import Decoder
from serving.audio.exchange import Exchange
from serving.decoding.bounds import Bounds
from serving.decoding.layout import RawLayout
from serving.decoding.length import check_length
from serving.decoding.messages import DecoderBug, Kind, Request
from serving.decoding.samples import Samples
from serving.errors import InvalidConfig
from serving.times import SAMPLE_RATE
from speech.audio.v1 import audio_pb2


class Recording:
    """A recording that is being received and decoded."""

    def __init__(self, info: audio_pb2.RecordingInfo, blocks: AsyncIterator[Samples]) -> None:
        self.info = info
        self._blocks = blocks

    def blocks(self) -> AsyncIterator[Samples]:
        """The samples in order, in blocks of at most MAX_BLOCK_SAMPLES; whole blocks while the upload is fast, smaller
        ones rather than late ones while it is slow. To be gone through once.

        Raises InvalidAudio, RecordingTooLong, Unavailable, and whatever the upload raises.
        """
        return self._blocks


@asynccontextmanager
async def open_recording(
    audio_format: audio_pb2.AudioFormat, chunks: AsyncIterator[bytes], *, decoder: Decoder, bounds: Bounds
) -> AsyncIterator[Recording]:
    """Decode what `chunks` brings; reads as far as the first sound before it returns.

    The number of samples is round(SAMPLE_RATE * duration), whatever the rate of the recording. Raises InvalidConfig,
    InvalidAudio (the recording cannot be decoded, or not within its bounds), RecordingTooLong, Unavailable (no disk space for
    an MP4 that must be kept whole; a decoder that was killed, hangs, or cannot be started), and whatever `chunks` raises.
    Leaving early ends all work at once.
    """
    if audio_format.WhichOneof("format") is None:
        raise InvalidConfig(
            "say how the audio is to be read: container for files, pcm for raw samples",
            field="config.audio_format",
        )
    if audio_format.WhichOneof("format") == "pcm":
        layout = RawLayout.checked(audio_format.pcm)
        if layout.is_output_format:
            blocks = pcm.ready_blocks(layout, chunks, max_seconds=bounds.max_audio_seconds)
            yield Recording(layout.info, blocks)
            return
    exchange = Exchange(await decoder.fork(), Request(audio_format, bounds), chunks, decoder.ended_early)
    try:
        async with aclosing(_messages(exchange)) as messages:
            yield Recording(await _info(messages), _blocks(messages, bounds))
    finally:
        await exchange.close()


async def _messages(exchange: Exchange) -> AsyncGenerator[tuple[Kind, bytearray]]:
    with tracing.stage("decode"):
        while (message := await exchange.take())[0] is not Kind.DONE:
            yield message


async def _info(messages: AsyncIterator[tuple[Kind, bytearray]]) -> audio_pb2.RecordingInfo:
    kind, payload = await anext(messages, (Kind.DONE, b""))
    if kind is not Kind.INFO:
        raise DecoderBug("the decoder did not say first what the recording is")
    return audio_pb2.RecordingInfo.FromString(bytes(payload))


async def _blocks(messages: AsyncIterator[tuple[Kind, bytearray]], bounds: Bounds) -> AsyncIterator[Samples]:
    position = 0
    async for kind, payload in messages:
        if kind is Kind.BLOCK:
            samples: Samples = np.frombuffer(payload, np.int16)
            position += len(samples)
            # The decoder sees to it as well, unless it is in other hands.
            check_length(position / SAMPLE_RATE, bounds.max_audio_seconds)
            yield samples
