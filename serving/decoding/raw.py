"""Raw samples of any layout."""

from collections.abc import Callable, Iterator

import av

from serving.decoding.layout import RawLayout, WholeFrames
from serving.decoding.samples import MAX_BLOCK_SAMPLES


def frames(layout: RawLayout, read: Callable[[int], bytes]) -> Iterator[av.AudioFrame]:
    """Blocking. Raises InvalidAudio as WholeFrames does."""
    cutter = WholeFrames(layout)
    while piece := read(layout.frame_bytes * MAX_BLOCK_SAMPLES):
        if whole := cutter.add(piece):
            yield _frame(layout, whole)
    cutter.finish()


def _frame(layout: RawLayout, whole: bytes) -> av.AudioFrame:
    channels = "mono" if layout.channels == 1 else f"{layout.channels} channels"
    frame = av.AudioFrame(layout.sample_format, channels, len(whole) // layout.frame_bytes)
    frame.sample_rate = layout.rate
    frame.planes[0].update(whole)
    return frame
