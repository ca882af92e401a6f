"""From speech to tokens for models whose tokens belong to encoder frames: transducers and CTC."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from onnxruntime import RunOptions

from asr_service.engines.base import Recognition, Samples, Speech
from asr_service.engines.ort.encoder import Signature, encode
from asr_service.engines.ort.features import stacked
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.lengths import Lengths
from asr_service.engines.ort.recognitions import recognitions
from asr_service.engines.ort.stages import FrontEnd, Search
from serving.times import SAMPLE_RATE

MIN_SAMPLES = SAMPLE_RATE // 2
"""Shorter audio gets silence behind: convolutions want a few frames."""


@dataclass(frozen=True)
class Decoder:
    """What makes tokens of an encoder's frames."""

    search: Search
    texts: Mapping[int, bytes]
    """What each token stands for."""
    frame_seconds: float
    """How far encoder frames lie apart."""


class Pipeline:
    """Shared by all threads."""

    def __init__(
        self,
        front_end: FrontEnd,
        signature: Signature,
        lanes: Lanes,
        lengths: Lengths,
        decoder: Decoder,
        *,
        pool: Executor,
        fixed_shapes: bool,
    ) -> None:
        """Features are computed in `pool`. `fixed_shapes`: batches are as long as their bucket, whoever is in them."""
        self._front_end = front_end
        self._signature = signature
        self._lanes = lanes
        self._lengths = lengths
        self._decoder = decoder
        self._pool = pool
        self._fixed_shapes = fixed_shapes

    def bucket(self, speech: Speech) -> int:
        return self._lengths.bucket(_length(speech))

    def padded(self, speech: Speech) -> float:
        return self._lengths.padded(_length(speech)) / SAMPLE_RATE

    def recognize(self, batch: Sequence[Speech], options: RunOptions | None = None) -> list[Recognition]:
        """Of utterances of one bucket, as many as may be. Raises what sessions raise."""
        longest = max(self._lengths.padded(_length(speech)) for speech in batch)
        samples = [_extended(speech.samples) for speech in batch]
        return [
            recognition
            for part in _parts(samples, self._lanes.split(len(batch), longest))
            for recognition in self._recognize(part, longest, options)
        ]

    def _recognize(self, batch: list[Samples], longest: int, options: RunOptions | None) -> list[Recognition]:
        lane = self._lanes.lane(len(batch), longest)
        filling = [batch[-1]] * (lane.least_rows - len(batch))
        features, lengths = stacked(
            self._front_end,
            batch + filling,
            self._pool,
            frames=self._front_end.frames(longest) if self._fixed_shapes else None,
            channels_first=self._signature.time_axis == 2,
        )
        encoded = encode(lane.session, self._signature, features, lengths, options)
        found = self._decoder.search(encoded, options)
        return recognitions(found, self._decoder.texts, self._decoder.frame_seconds)[: len(batch)]


def _extended(samples: Samples) -> Samples:
    return np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples))))


def _length(speech: Speech) -> int:
    return max(len(speech.samples), MIN_SAMPLES)


def _parts(batch: list[Samples], sizes: list[int]) -> Iterator[list[Samples]]:
    start = 0
    for size in sizes:
        yield batch[start : start + size]
        start += size
