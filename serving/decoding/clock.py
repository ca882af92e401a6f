"""When a frame is to be heard: what a container's time stamps say against what was decoded so far."""

# Stamps are rounded (Matroska: to milliseconds) and wander; less than this is no gap.
_STEADY_TOLERANCE = 0.1
# After sound was lost or dropped, the next stamp is taken at its word.
_ALERT_TOLERANCE = 0.01
# In a container whose stamps may start anew within the file, a longer leap forwards is such a new start, as is any
# backwards; in others only a leap backwards over more sound than can have been sent twice.
_LONGEST_GAP = 10.0
_LONGEST_OVERLAP = 1.0


class Clock:
    """Compares stamps with the position reached, both in seconds."""

    def __init__(self, origin: float | None, *, restarts: bool) -> None:
        """`origin` is the stamp of the recording's start, None to take the first one; `restarts` says whether stamps
        may start anew within the file.
        """
        self._origin = origin
        self._restarts = restarts
        self._tolerance = _STEADY_TOLERANCE

    def expect_loss(self) -> None:
        """A packet could not be decoded: the next stamp says how long it was."""
        self._tolerance = _ALERT_TOLERANCE

    def gap(self, stamp: float, position: float) -> float:
        """Seconds missing before a frame with this stamp; negative for sound that was heard already, 0 to go on."""
        if self._origin is None:
            self._origin = stamp - position
        gap = stamp - self._origin - position
        if self._is_new_start(gap):
            self._origin += gap
            gap = 0.0
        if abs(gap) <= self._tolerance:
            gap = 0.0
        self._tolerance = _ALERT_TOLERANCE if gap < 0 else _STEADY_TOLERANCE
        return gap

    def _is_new_start(self, gap: float) -> bool:
        if self._restarts:
            return gap > _LONGEST_GAP or gap < -self._tolerance
        return gap < -_LONGEST_OVERLAP
