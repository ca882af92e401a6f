"""From speech to tokens for models whose tokens belong to encoder frames: transducers and CTC."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from onnxruntime import RunOptions

from asr_service.engines.base import Recognition, Samples, Speech
from asr_service.engines.ort.batch_encoder import BatchEncoder
from asr_service.engines.ort.encoder import Signature
from asr_service.engines.ort.features import stacked
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.lengths import Lengths
from asr_service.engines.ort.recognitions import recognitions
from asr_service.engines.ort.stages import Floats, FrontEnd, Integers, Search
from asr_service.engines.ort.watching import Stopwatch, Watch, unwatched
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
        watch: Watch = unwatched,
    ) -> None:
        """Features are computed in `pool`. `fixed_shapes`: batches are as long as their bucket, whoever is in them.

        `watch` is told how long each batch's features, encoder and search took.
        """
        self._front_end = front_end
        self.encoder = BatchEncoder(signature, lanes)
        self._lengths = lengths
        self._decoder = decoder
        self._pool = pool
        self._fixed_shapes = fixed_shapes
        self._watch = watch

    def bucket(self, speech: Speech) -> int:
        return self._lengths.bucket(_length(speech))

    def padded(self, speech: Speech) -> float:
        return self._lengths.padded(_length(speech)) / SAMPLE_RATE

    def recognize(self, batch: Sequence[Speech], options: RunOptions | None = None) -> list[Recognition]:
        """Of utterances of one bucket, as many as may be. Raises what sessions raise."""
        watch = Stopwatch(self._watch)
        longest = max(self._lengths.padded(_length(speech)) for speech in batch)
        features, lengths = self.features([speech.samples for speech in batch], longest)
        watch.lap("features")
        encoded = self.encoder(features, lengths, longest, options)
        watch.lap("encoder")
        found = self._decoder.search(encoded, options)
        watch.lap("search")
        return recognitions(found, self._decoder.texts, self._decoder.frame_seconds)[: len(batch)]

    def features(self, batch: Sequence[Samples], longest: int) -> tuple[Floats, Integers]:
        """As the encoder takes them: of utterances of at most so many samples, with what pads them."""
        return stacked(
            self._front_end,
            [_extended(samples) for samples in batch],
            self._pool,
            frames=self._front_end.frames(longest) if self._fixed_shapes else None,
            channels_first=self.encoder.signature.time_axis == 2,
        )


def _extended(samples: Samples) -> Samples:
    return np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples))))


def _length(speech: Speech) -> int:
    return max(len(speech.samples), MIN_SAMPLES)
