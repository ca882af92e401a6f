"""How a recording spent its time in a worker: told to the service at the end, for the recording's trace.

Times are those of `time.monotonic`, which the processes of a machine share.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct


@dataclass(kw_only=True)
class StageTimes:
    """One stage's, of all its batches that the recording had a part in."""

    began: float
    ended: float
    items: int = 0
    """Windows segmented, blocks of windows embedded, or recordings clustered."""
    batches: int = 0
    wait_seconds: float = 0.0
    """Of all items together."""
    longest_wait_seconds: float = 0.0
    compute_seconds: float = 0.0
    """The recording's share of what its batches took."""


class Times:
    """Of a recording, gathered while it is computed."""

    def __init__(self, stages: Mapping[str, StageTimes] | None = None) -> None:
        self.stages = dict(stages or {})
        """By name, in the order in which they began."""

    def taken(self, stage: str, waits: Sequence[float]) -> None:
        """A batch begins with items that waited so many seconds."""
        now = time.monotonic()
        times = self.stages.setdefault(stage, StageTimes(began=now, ended=now))
        times.items += len(waits)
        times.batches += 1
        times.wait_seconds += sum(waits)
        times.longest_wait_seconds = max(times.longest_wait_seconds, *waits)

    def computed(self, stage: str, seconds: float) -> None:
        """A batch has ended, and so many seconds of it were this recording's."""
        self.stages[stage].ended = time.monotonic()
        self.stages[stage].compute_seconds += seconds

    def to_message(self) -> Struct:
        message = Struct()
        message.update({name: asdict(times) for name, times in self.stages.items()})
        return message

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Times":
        held = MessageToDict(Struct.FromString(payload))
        return cls({name: _stage_times(numbers) for name, numbers in held.items()})


def _stage_times(numbers: Mapping[str, Any]) -> StageTimes:
    counts = {name: int(numbers[name]) for name in ("items", "batches")}
    return StageTimes(**{**numbers, **counts})
