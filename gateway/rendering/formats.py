"""What a transcript can be written as."""

from enum import StrEnum


class OutputFormat(StrEnum):
    """Formats by the names that the command line uses."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"
    RTTM = "rttm"

    @property
    def suffix(self) -> str:
        """The usual end of such a file's name, with its dot."""
        return ".txt" if self is OutputFormat.TEXT else f".{self.value}"
