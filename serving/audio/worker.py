"""One thread a recording: FFmpeg blocks while it waits for bytes, and must not do so on the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from serving.audio.blocks import BlockWriter
from serving.audio.handoff import Handoff
from serving.audio.pipe import BytePipe, Stopped
from serving.audio.samples import Samples
from speech.audio.v1 import audio_pb2

# What the recording is, then its sound.
Output: TypeAlias = audio_pb2.RecordingInfo | Samples

# Blocks decoded ahead of who takes them.
_BLOCKS_AHEAD = 4

# Called in the thread: reads bytes (blocking), says what the recording is, writes samples.
Decode: TypeAlias = Callable[
    [Callable[[int], bytes], Callable[[audio_pb2.RecordingInfo], None], BlockWriter], None
]


class DecodingThread:
    """Feeds `chunks` to `decode` in a thread of its own and takes what it puts out.

    Both directions are bounded: a slow taker slows the thread, a slow thread slows the upload.
    """

    def __init__(self, decode: Decode, chunks: AsyncIterator[bytes], *, max_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._decode = decode
        self._handoff: Handoff[Output] = Handoff(self._loop, _BLOCKS_AHEAD)
        self._writer = BlockWriter(self._handoff.put, max_seconds)
        self._pipe = BytePipe(self._loop, on_dry=self._writer.flush)
        self._error: BaseException | None = None
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="decode-recording", daemon=True)
        self._thread.start()
        self._feeding = self._loop.create_task(self._feed(chunks))

    async def take(self) -> Output | None:
        """The next output, None at the end. Raises what `decode` or `chunks` raised."""
        output = await self._handoff.take()
        if output is None:
            # An upload that failed is the reason for whatever became of the thread.
            if self._feeding.done():
                self._feeding.result()
            if self._error is not None:
                raise self._error
        return output

    async def close(self) -> None:
        """Ends the thread, wherever it is, and waits for it."""
        self._pipe.stop()
        self._handoff.stop()
        self._feeding.cancel()
        await asyncio.gather(self._feeding, return_exceptions=True)
        await self._ended.wait()
        self._thread.join()

    async def _feed(self, chunks: AsyncIterator[bytes]) -> None:
        try:
            async for chunk in chunks:
                if chunk:
                    await self._pipe.write(chunk)
            self._pipe.end()
        except BaseException:
            self._pipe.stop()
            raise

    def _run(self) -> None:
        try:
            self._decode_and_flush()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again on the event loop
            self._error = error
        self._loop.call_soon_threadsafe(self._finish)

    def _decode_and_flush(self) -> None:
        """What was decoded before an error is still heard."""
        try:
            self._decode(self._pipe.read, self._handoff.put, self._writer)
        finally:
            self._writer.flush()

    def _finish(self) -> None:
        self._handoff.end()
        self._ended.set()
