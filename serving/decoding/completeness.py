"""Whether as much sound came out of a container as its header and packets promised."""

from serving.errors import InvalidAudio

# Of a recording whose header is exact: sloppy writers count their own header's bytes as sound.
_EXACT_TOLERANCE = 0.1
# Of others: encoder delay, rounded headers, a last packet that is cut.
_TOLERANCE, _TOLERATED_SHARE = 0.5, 0.01
# Of packets that cannot be decoded.
_TOLERATED_DAMAGE = 1.0


class Completeness:
    """Keeps account of the seconds that were promised, heard and lost."""

    def __init__(self, codec: str, declared: float | None) -> None:
        """`codec` is FFmpeg's name, `declared` the length by the container's header if it gives one."""
        self._exact = codec.startswith("pcm_") or codec == "flac"
        self.declared = declared
        self._heard = 0.0
        self._lost = 0.0
        self._broken_off = False

    @property
    def at_least(self) -> float:
        """Seconds of sound that must come, by the header."""
        if self.declared is None:
            return 0.0
        if self._exact:
            return self.declared - _EXACT_TOLERANCE
        return self.declared - max(_TOLERANCE, _TOLERATED_SHARE * self.declared)

    def hear(self, seconds: float) -> None:
        self._heard += seconds

    def lose(self, seconds: float) -> None:
        """A packet could not be decoded. Raises InvalidAudio once that is more than a flaw."""
        self._lost += seconds
        if self._lost > _TOLERATED_DAMAGE + _TOLERATED_SHARE * self._heard:
            raise InvalidAudio(
                f"the recording is damaged: of its first {self._heard + self._lost:.1f} s, "
                f"{self._lost:.1f} s cannot be decoded; send an intact copy"
            )

    def break_off(self) -> None:
        """The container itself cannot be read any further."""
        self._broken_off = True

    def check(self, position: float) -> None:
        """At the end, with `position` seconds of sound and silence made. Raises InvalidAudio."""
        if not self._heard:
            raise InvalidAudio(
                "the recording holds no sound that can be decoded, not one sample; send one that does"
            )
        if position < self.at_least:
            raise InvalidAudio(
                f"the recording is cut short: its header promises {self.declared:.2f} s "
                f"and {position:.2f} s came; send the whole file"
            )
        # Trailing tags look like damage to some demuxers: what the header promised is there.
        if self._broken_off and self.declared is None:
            raise InvalidAudio(f"the recording cannot be read beyond {position:.2f} s; send an intact copy")
