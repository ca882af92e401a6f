"""From an upload to the spool."""

import asyncio
from collections.abc import Callable

from gateway.spool import Spool
from serving import tracing
from serving.audio import Recording
from serving.errors import InvalidAudio

# Callers send dozens of messages a second; how far they have come is worth an event less often.
_TELL_SECONDS = 1.0


async def fill(spool: Spool, recording: Recording, tell: Callable[[float], None]) -> None:
    """Decode the recording into the spool while it is uploaded; `tell` hears each second how much there is.

    Whatever goes wrong fails the spool's readers as well. Raises InvalidAudio and what the recording raises.
    """
    with tracing.stage("spool") as span:
        try:
            await _copy(recording, spool, tell)
        except Exception as error:
            spool.fail(error)
            raise
        tracing.describe(span, audio_seconds=spool.seconds_written, bytes_on_disk=spool.bytes_on_disk)
    spool.finish()


async def _copy(recording: Recording, spool: Spool, tell: Callable[[float], None]) -> None:
    now = asyncio.get_running_loop().time
    told = now()
    async for block in recording.blocks():
        await spool.write(block.tobytes())
        if now() - told >= _TELL_SECONDS:
            told = now()
            tell(spool.seconds_written)
    if not spool.seconds_written:
        raise InvalidAudio("the recording holds no sound; send at least one sample")
