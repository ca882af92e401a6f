"""Mixing down and resampling, by FFmpeg's libswresample."""

from collections.abc import Iterator

import av
import numpy as np
from av.filter import Graph
from av.filter.context import FilterContext

from serving.decoding.samples import Samples, silence
from serving.times import SAMPLE_RATE

# Decoders of lossy codecs overshoot full scale a little; a sample further out is not sound.
_MAX_PLAUSIBLE_PEAK = 8.0


class Resampler:
    """A stretch of sound of one rate, sample format and channel layout; its output is exact to the sample.

    Channels with a meaning (front, surround) are mixed by FFmpeg's matrix for it; channels without one count equally.
    """

    def __init__(self, frame: av.AudioFrame) -> None:
        self._graph = _graph(frame)
        self._format = _format_of(frame)
        self._rate = frame.sample_rate
        self._received = 0
        self._sent = 0

    @property
    def length(self) -> int:
        """Output samples that belong to what was received: round(seconds * SAMPLE_RATE)."""
        return (2 * self._received * SAMPLE_RATE + self._rate) // (2 * self._rate)

    @property
    def seconds(self) -> float:
        """Length of what was received."""
        return self._received / self._rate

    def fits(self, frame: av.AudioFrame) -> bool:
        return self._format == _format_of(frame)

    def convert(self, frame: av.AudioFrame) -> Iterator[Samples]:
        """What is ready of it; the filter keeps a millisecond back."""
        self._received += frame.samples
        self._graph.push(_plausible(frame))
        return self._pull()

    def finish(self) -> Iterator[Samples]:
        """The rest, up to exactly `length`. The filter rounds up, and gives nothing for a handful of samples."""
        self._graph.push(None)
        for samples in self._pull():
            yield samples[: max(0, self.length - self._sent + len(samples))]
        if self._sent < self.length:
            yield silence(self.length - self._sent)

    def _pull(self) -> Iterator[Samples]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            if isinstance(frame, av.AudioFrame):
                self._sent += frame.samples
                yield np.frombuffer(memoryview(frame.planes[0]), np.int16, frame.samples)


def _format_of(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def _graph(frame: av.AudioFrame) -> Graph:
    graph = Graph()
    # FFmpeg would start a thread for every core, for each recording.
    graph.threads = 1
    filters = [_source(graph, frame)]
    if frame.layout.name.endswith("channels"):
        filters.append(graph.add("pan", _equal_shares(frame.layout.nb_channels)))
    filters.append(graph.add("aresample", str(SAMPLE_RATE)))
    filters.append(graph.add("aformat", sample_fmts="s16", channel_layouts="mono"))
    filters.append(graph.add("abuffersink"))
    graph.link_nodes(*filters)
    graph.configure()
    return graph


def _source(graph: Graph, frame: av.AudioFrame) -> FilterContext:
    return graph.add(
        "abuffer",
        sample_rate=str(frame.sample_rate),
        sample_fmt=frame.format.name,
        channel_layout=frame.layout.name,
        time_base=f"1/{frame.sample_rate}",
    )


def _equal_shares(channels: int) -> str:
    return "mono|c0=" + "+".join(f"{1 / channels:.9f}*c{channel}" for channel in range(channels))


def _plausible(frame: av.AudioFrame) -> av.AudioFrame:
    """Floats that are no sound are silenced or clipped: they would spread through the filter."""
    if not frame.format.name.startswith(("flt", "dbl")):
        return frame
    values = frame.to_ndarray()
    # Not `>`: a comparison with NaN is false.
    if values.size == 0 or np.abs(values).max() <= _MAX_PLAUSIBLE_PEAK:
        return frame
    repaired = np.clip(np.nan_to_num(values, nan=0.0), -1.0, 1.0)
    result = av.AudioFrame.from_ndarray(repaired, frame.format.name, frame.layout.name)
    result.sample_rate = frame.sample_rate
    return result
