"""Voice activity without a model: who is loud speaks."""

import numpy as np

from asr_service.engines.base import Samples
from asr_service.vad import VadOptions
from serving.times import SAMPLE_RATE


class LoudnessModel:
    """Stands in for Silero. Decides like sherpa-onnx's model, with min_speech and min_silence."""

    def __init__(self, options: VadOptions) -> None:
        self._min_speech = options.min_speech * SAMPLE_RATE
        self._min_silence = options.min_silence * SAMPLE_RATE
        self._position = 0
        self._loud_since: int | None = None
        self._quiet_since: int | None = None
        self._speaks = False

    def window_size(self) -> int:
        return 576

    def is_speech(self, samples: Samples, /) -> bool:
        self._position += 512
        if np.abs(samples).max() > 0.01:
            self._quiet_since = None
            self._loud_since = self._loud_since or self._position
            self._speaks = self._speaks or self._position - self._loud_since >= self._min_speech
        elif not self._speaks:
            self._loud_since = None
        else:
            self._quiet_since = self._quiet_since or self._position
            if self._position - self._quiet_since >= self._min_silence:
                self._speaks, self._loud_since, self._quiet_since = False, None, None
        return self._speaks
