"""Points in time, written the way each format wants them. All of it is integer arithmetic on milliseconds."""

from google.protobuf.duration_pb2 import Duration


def milliseconds(duration: Duration) -> int:
    """Nearest whole millisecond of a duration that is not negative; a half is rounded up."""
    return duration.seconds * 1000 + (duration.nanos + 500_000) // 1_000_000


def decimal_seconds(time_ms: int) -> str:
    """Seconds with three decimals: 65432 → "65.432"."""
    return f"{time_ms // 1000}.{time_ms % 1000:03d}"


def short_clock(time_ms: int) -> str:
    """Minutes and seconds to a tenth, hours only where there are any: "1:05.4", "2:01:05.4"."""
    tenths = (time_ms + 50) // 100
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{seconds}" if hours else f"{minutes}:{seconds}"


def subtitle_clock(time_ms: int, *, decimal_mark: str) -> str:
    """Hours, minutes, seconds and milliseconds: "00:01:05,432" (SRT) or "00:01:05.432" (WebVTT)."""
    seconds, fraction = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{decimal_mark}{fraction:03d}"
