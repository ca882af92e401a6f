"""The door: an upload's bytes in, blocks of mono 16 kHz samples out, while the upload is still running."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

from serving import tracing
from serving.audio import container, pcm
from serving.audio.blocks import BlockWriter, check_length
from serving.audio.clock import Clock
from serving.audio.converter import Converter
from serving.audio.samples import Samples
from serving.audio.worker import DecodingThread
from serving.errors import InvalidConfig
from speech.audio.v1 import audio_pb2

_Announce = Callable[[audio_pb2.RecordingInfo], None]
_Read = Callable[[int], bytes]


class Recording:
    """A recording that is being received and decoded."""

    def __init__(self, info: audio_pb2.RecordingInfo, blocks: AsyncIterator[Samples]) -> None:
        self.info = info
        self._blocks = blocks

    def blocks(self) -> AsyncIterator[Samples]:
        """The samples in order, in blocks of at most MAX_BLOCK_SAMPLES; whole blocks while the upload is fast, smaller
        ones rather than late ones while it is slow. To be gone through once.

        Raises InvalidAudio, RecordingTooLong, and whatever the upload raises.
        """
        return self._blocks


@asynccontextmanager
async def open_recording(
    audio_format: audio_pb2.AudioFormat,
    chunks: AsyncIterator[bytes],
    *,
    max_seconds: float,
    directory: Path | None = None,
) -> AsyncIterator[Recording]:
    """Decode what `chunks` brings; reads as far as the first sound before it returns.

    `directory` is where an MP4 goes that must be kept whole, by default the system's place for temporary files.

    The number of samples is round(SAMPLE_RATE * duration), whatever the rate of the recording. Raises InvalidConfig,
    InvalidAudio, RecordingTooLong, Unavailable (no disk space for an MP4 that must be kept whole), and whatever
    `chunks` raises. Leaving early ends all work at once.
    """
    if audio_format.WhichOneof("format") is None:
        raise InvalidConfig(
            "say how the audio is to be read: container for files, pcm for raw samples",
            field="config.audio_format",
        )
    if audio_format.WhichOneof("format") == "container":
        decode = partial(_decode_container, max_seconds, directory)
    else:
        layout = pcm.RawLayout.checked(audio_format.pcm)
        if layout.is_output_format:
            yield Recording(layout.info, pcm.ready_blocks(layout, chunks, max_seconds=max_seconds))
            return
        decode = partial(_decode_raw, layout)
    thread = DecodingThread(decode, chunks, max_seconds=max_seconds)
    try:
        async with aclosing(_decoded(thread)) as decoded:
            yield Recording(await _info(decoded), _blocks(decoded))
    finally:
        await thread.close()


async def _decoded(thread: DecodingThread) -> AsyncGenerator[audio_pb2.RecordingInfo | Samples]:
    with tracing.stage("decode"):
        while (piece := await thread.take()) is not None:
            yield piece


async def _info(decoded: AsyncIterator[audio_pb2.RecordingInfo | Samples]) -> audio_pb2.RecordingInfo:
    info = await anext(decoded, None)
    if not isinstance(info, audio_pb2.RecordingInfo):
        raise TypeError("the decoder wrote sound before it said what it is")
    return info


async def _blocks(decoded: AsyncIterator[audio_pb2.RecordingInfo | Samples]) -> AsyncIterator[Samples]:
    async for block in decoded:
        if not isinstance(block, audio_pb2.RecordingInfo):
            yield block


def _decode_raw(layout: pcm.RawLayout, read: _Read, announce: _Announce, writer: BlockWriter) -> None:
    announce(layout.info)
    converter = Converter(writer, Clock(0.0, restarts=False))
    for frame in pcm.frames(layout, read):
        converter.add(frame)
    converter.finish()


def _decode_container(
    max_seconds: float, directory: Path | None, read: _Read, announce: _Announce, writer: BlockWriter
) -> None:
    with container.opened(read, directory) as reader:
        check_length(reader.completeness.at_least, max_seconds)
        clock = Clock(reader.origin, restarts=reader.restarts)
        converter = Converter(writer, clock)
        announced = False
        for frame in reader.frames(clock.expect_loss):
            if not announced:
                announce(reader.info(frame))
                announced = True
            reader.note_gap(converter.add(frame))
        converter.finish()
        reader.completeness.check(converter.seconds)
