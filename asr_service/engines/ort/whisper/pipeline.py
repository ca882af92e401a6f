"""From speech to tokens for Whisper."""

from collections.abc import Mapping, Sequence

import numpy as np
from onnxruntime import OrtValue, RunOptions

from asr_service.engines.base import Recognition, Speech
from asr_service.engines.ort.features import SherpaWhisperFeatures
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.pipeline import MIN_SAMPLES, extended
from asr_service.engines.ort.recognitions import recognitions
from asr_service.engines.ort.runtime import Session
from asr_service.engines.ort.stages import Features, Floats, Part
from asr_service.engines.ort.whisper.search import FRAME_SECONDS, WhisperSearch
from serving.times import SAMPLE_RATE

# Samples from one mel frame to the next.
_MEL_FRAME = SAMPLE_RATE // 100


class WhisperPipeline:
    """Shared by all threads. The encoder takes no lengths, so only utterances of equally many frames share a batch."""

    def __init__(
        self,
        front_end: SherpaWhisperFeatures,
        features: Features,
        lanes: Lanes,
        search: WhisperSearch,
        texts: Mapping[int, bytes],
    ) -> None:
        """`front_end` says how much silence follows an utterance; `features` computes what it does, bins first."""
        self._front_end = front_end
        self._features = features
        self._lanes = lanes
        self._search = search
        self._texts = texts

    def bucket(self, speech: Speech) -> int:
        return self._front_end.frames(_length(speech))

    def padded(self, speech: Speech) -> float:
        return self.bucket(speech) * _MEL_FRAME / SAMPLE_RATE

    def recognize(self, batch: Sequence[Speech], options: RunOptions | None = None) -> list[Recognition]:
        """Of utterances of one bucket, as many as may be. Raises what sessions raise."""
        found = list[Recognition]()
        for size in self._lanes.split(len(batch), self.bucket(batch[0]) * _MEL_FRAME):
            found += self._recognize(batch[len(found) : len(found) + size], options)
        return found

    def _recognize(self, batch: Sequence[Speech], options: RunOptions | None) -> list[Recognition]:
        lane = self._lanes.lane(len(batch), self.bucket(batch[0]) * _MEL_FRAME)
        rows = [*batch, *[batch[-1]] * (lane.least_rows - len(batch))]
        samples = [extended(speech.samples) for speech in rows]
        mel, _ = next(self._features(samples).parts([Part(len(rows), len(rows))]))
        heard = np.array([self._front_end.heard(len(row)) for row in samples])
        languages = [speech.language for speech in rows]
        found = self._search(_encoded(lane.session, mel, options), heard, languages, options)
        seconds = FRAME_SECONDS if self._search.measures_time else None
        return recognitions(found, self._texts, seconds)[: len(batch)]


def _encoded(session: Session, mel: Floats | OrtValue, options: RunOptions | None) -> list[OrtValue]:
    """The audio's keys and values, by the order of the encoder's outputs; they stay on the session's device."""
    (name, *_) = session.inputs
    return list(session.run({name: mel}, keep=session.outputs.keys(), options=options).values())


def _length(speech: Speech) -> int:
    return max(len(speech.samples), MIN_SAMPLES)
