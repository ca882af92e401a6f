"""What a worker process tells its service about its work, for the metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

SEGMENTATION, EMBEDDING, CLUSTERING = "segmentation", "embedding", "clustering"


@dataclass(frozen=True)
class Report:
    """A batch through one of the networks, or the clustering of one recording."""

    stage: str
    items: int
    """Windows segmented, blocks of windows embedded, or recordings clustered."""
    seconds: float
    """That it took."""
    waits: Sequence[float] = ()
    """Seconds that each of the items waited for it."""
    queued: Mapping[str, int] = field(default_factory=dict)
    """By stage, items that wait now; stages left out are as they were."""

    def to_message(self) -> Struct:
        message = Struct()
        message.update(
            {
                "stage": self.stage,
                "items": self.items,
                "seconds": self.seconds,
                "waits": list(self.waits),
                "queued": dict(self.queued),
            }
        )
        return message

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Report":
        held = MessageToDict(Struct.FromString(payload))
        return cls(
            held["stage"],
            int(held["items"]),
            held["seconds"],
            tuple(held["waits"]),
            {stage: int(count) for stage, count in held["queued"].items()},
        )
