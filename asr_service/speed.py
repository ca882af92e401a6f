"""How fast the engine is, as far as it has been seen."""

# Each batch weighs this much less than the one after it, so that the last ten or so decide.
_MEMORY = 0.9


class Speed:
    """Seconds of audio that one thread gets through in a second."""

    def __init__(self) -> None:
        self._audio = 0.0
        self._wall = 0.0

    def saw(self, audio: float, wall: float) -> None:
        """A batch of `audio` seconds took `wall` seconds."""
        self._audio = _MEMORY * self._audio + audio
        self._wall = _MEMORY * self._wall + wall

    def time_for(self, audio: float) -> float:
        """Seconds that so much audio will take; 0 before anything was seen."""
        return audio * self._wall / self._audio if self._audio else 0.0
