"""Decoded frames of any format in, samples on one clock out."""

import av

from serving.decoding.blocks import BlockWriter
from serving.decoding.clock import Clock
from serving.decoding.resampler import Resampler
from serving.times import SAMPLE_RATE


class Converter:
    """Resamples stretches of equal format; puts silence where the container's clock says that sound is missing."""

    def __init__(self, writer: BlockWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._resampler: Resampler | None = None
        # Where the present stretch begins, in output samples.
        self._start = 0
        self._heard_anything = False

    @property
    def seconds(self) -> float:
        """Length of everything so far, silence included."""
        return self._start / SAMPLE_RATE + (self._resampler.seconds if self._resampler else 0.0)

    def add(self, frame: av.AudioFrame) -> float:
        """Returns the seconds of silence put before it. Raises RecordingTooLong."""
        gap = 0.0 if frame.time is None else self._clock.gap(frame.time, self.seconds)
        if gap < 0:
            return 0.0
        if gap > 0:
            self._end_stretch()
            self._writer.write_silence(round(gap * SAMPLE_RATE))
            self._start = self._writer.position
        for samples in self._fitting(frame).convert(frame):
            self._writer.write(samples)
        self._heard_anything = True
        return gap

    def finish(self) -> None:
        """A recording of less than half an output sample still is one sample long."""
        self._end_stretch()
        if self._heard_anything and self._writer.position == 0:
            self._writer.write_silence(1)

    def _fitting(self, frame: av.AudioFrame) -> Resampler:
        if self._resampler is None or not self._resampler.fits(frame):
            self._end_stretch()
            self._resampler = Resampler(frame)
        return self._resampler

    def _end_stretch(self) -> None:
        if self._resampler is not None:
            for samples in self._resampler.finish():
                self._writer.write(samples)
            self._resampler = None
        self._start = self._writer.position
