"""From speech to tokens for models whose tokens belong to encoder frames: transducers and CTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnxruntime import RunOptions

from asr_service.engines.base import Recognition, Samples, Speech
from asr_service.engines.ort.batch_encoder import BatchEncoder
from asr_service.engines.ort.encoder import Signature
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.lengths import Lengths
from asr_service.engines.ort.recognitions import recognitions
from asr_service.engines.ort.stages import BatchFeatures, Features, Search
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
        features: Features,
        signature: Signature,
        lanes: Lanes,
        lengths: Lengths,
        decoder: Decoder,
        *,
        fixed_shapes: bool,
        watch: Watch = unwatched,
    ) -> None:
        """`fixed_shapes`: batches are as long as their bucket, whoever is in them.

        `watch` is told how long each batch's features, encoder and search took; of features, what the encoder waited for.
        """
        self._features = features
        self.encoder = BatchEncoder(signature, lanes)
        self._lengths = lengths
        self._decoder = decoder
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
        features = self.features([speech.samples for speech in batch], longest)
        encoded = self.encoder(features, longest, options, watch.lap)
        watch.lap("encoder")
        found = self._decoder.search(encoded, options)
        watch.lap("search")
        watch.tell()
        return recognitions(found, self._decoder.texts, self._decoder.frame_seconds)[: len(batch)]

    def features(self, batch: Sequence[Samples], longest: int) -> BatchFeatures:
        """As the encoder takes them: of utterances of at most so many samples, with what pads them."""
        return self._features(
            [extended(samples) for samples in batch], longest if self._fixed_shapes else None
        )


def extended(samples: Samples) -> Samples:
    """With silence behind, up to MIN_SAMPLES."""
    missing = MIN_SAMPLES - len(samples)
    return np.pad(samples, (0, missing)) if missing > 0 else samples


def _length(speech: Speech) -> int:
    return max(len(speech.samples), MIN_SAMPLES)
