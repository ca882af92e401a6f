"""Raw samples that are 16 kHz, mono and 16 bits already."""

from collections.abc import AsyncIterator

import numpy as np

from serving.decoding.layout import RawLayout, WholeFrames
from serving.decoding.length import check_length
from serving.decoding.samples import MAX_BLOCK_SAMPLES, Samples
from serving.times import SAMPLE_RATE


async def ready_blocks(
    layout: RawLayout, chunks: AsyncIterator[bytes], *, max_seconds: float
) -> AsyncIterator[Samples]:
    """Cuts them, copies nothing, needs no decoder.

    Raises InvalidAudio as WholeFrames does, and RecordingTooLong.
    """
    cutter = WholeFrames(layout)
    position = 0
    async for chunk in chunks:
        samples: Samples = np.frombuffer(cutter.add(chunk), np.int16)
        for start in range(0, len(samples), MAX_BLOCK_SAMPLES):
            block = samples[start : start + MAX_BLOCK_SAMPLES]
            position += len(block)
            check_length(position / SAMPLE_RATE, max_seconds)
            yield block
    cutter.finish()
