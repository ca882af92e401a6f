"""How far a recording has come, as one number that never falls. Pure."""

from speech.diarization.v1.diarization_pb2 import (
    DIARIZATION_STEP_CLUSTERING,
    DIARIZATION_STEP_EMBEDDING,
    DIARIZATION_STEP_SEGMENTATION,
    DiarizationProgress,
    DiarizationStep,
)

# A message for every half per cent is plenty for a progress bar.
LEAST_GAIN = 0.005

# Each network's part of the whole work, measured on two CPU cores over 30 s. The rest is clustering's, which grows faster
# than the recording.
_SEGMENTATION, _EMBEDDING = 0.1, 0.85


class ProgressMeter:
    """Turns one recording's counts into progress worth telling."""

    def __init__(self) -> None:
        self._told = DiarizationProgress(fraction=-1.0)

    def advance(
        self, *, windows: int | None, segmented: int, embedded: int, answered: bool
    ) -> DiarizationProgress | None:
        """Progress where so many windows are segmented and embedded, or None where little is new.

        `windows` is how many there are in all; None while audio arrives. `answered` tells whether clustering is done.
        """
        step = max(self._told.step, _step(windows, segmented, embedded, answered=answered))
        fraction = max(self._told.fraction, _fraction(windows, segmented, embedded, answered=answered))
        if step == self._told.step and not answered and fraction - self._told.fraction < LEAST_GAIN:
            return None
        self._told = DiarizationProgress(step=step, fraction=fraction)
        return self._told


def _step(
    windows: int | None, segmented: int, embedded: int, *, answered: bool
) -> "DiarizationStep.ValueType":
    if answered or embedded == windows:
        return DIARIZATION_STEP_CLUSTERING
    return DIARIZATION_STEP_EMBEDDING if segmented > embedded else DIARIZATION_STEP_SEGMENTATION


def _fraction(windows: int | None, segmented: int, embedded: int, *, answered: bool) -> float:
    if answered:
        return 1.0
    if windows is None:
        return 0.0
    done = (_SEGMENTATION * segmented + _EMBEDDING * embedded) / windows if windows else 1.0
    return min(_SEGMENTATION + _EMBEDDING, done)
