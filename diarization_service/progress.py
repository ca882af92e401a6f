"""How far the pipeline has come, as one number that never falls. Pure."""

from dataclasses import dataclass

from speech.diarization.v1.diarization_pb2 import (
    DIARIZATION_STEP_CLUSTERING,
    DIARIZATION_STEP_EMBEDDING,
    DIARIZATION_STEP_SEGMENTATION,
    DiarizationProgress,
    DiarizationStep,
)

# A message for every half per cent is plenty for a progress bar.
LEAST_GAIN = 0.005


@dataclass(frozen=True)
class _Share:
    step: "DiarizationStep.ValueType"
    start: float
    end: float


# By the names under which pyannote.audio calls its hook, each step's part of the whole work. Measured on two CPU cores
# over 30 s; clustering grows faster than the recording.
_SHARES = {
    "segmentation": _Share(DIARIZATION_STEP_SEGMENTATION, 0.0, 0.1),
    "speaker_counting": _Share(DIARIZATION_STEP_EMBEDDING, 0.1, 0.1),
    "embeddings": _Share(DIARIZATION_STEP_EMBEDDING, 0.1, 0.95),
    "discrete_diarization": _Share(DIARIZATION_STEP_CLUSTERING, 0.95, 1.0),
}


class ProgressMeter:
    """Turns the hook's calls for one recording into progress worth telling."""

    def __init__(self) -> None:
        self._told = DiarizationProgress(fraction=-1.0)

    def advance(self, step: str, completed: int | None, total: int | None) -> DiarizationProgress | None:
        """Progress after `completed` of `total` parts of a step (None: all of it), or None where little is new.

        Steps that no share is known for change nothing.
        """
        share = _SHARES.get(step)
        if share is None:
            return None
        done = 1.0 if completed is None or not total else min(1.0, completed / total)
        fraction = max(self._told.fraction, share.start + done * (share.end - share.start))
        if share.step == self._told.step and fraction - self._told.fraction < LEAST_GAIN:
            return None
        self._told = DiarizationProgress(step=share.step, fraction=fraction)
        return self._told
