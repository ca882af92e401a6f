"""What a worker process tells its service about its work, for the metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

SEGMENTATION, EMBEDDING, CLUSTERING = "segmentation", "embedding", "clustering"
# Either of the first two.
NETWORKS = "networks"


@dataclass(frozen=True)
class Report:
    """A batch through one of the networks, or the clustering of one recording, or the end of either for who gave up."""

    stage: str
    items: int
    """Windows segmented, blocks of windows embedded, or recordings clustered."""
    seconds: float
    """That it took."""
    waits: Sequence[float] = ()
    """Seconds that each of the items waited for it."""
    queued: Mapping[str, int] = field(default_factory=dict)
    """By stage, items that wait now; stages left out are as they were."""
    given_up: bool = False
    """`seconds` are those for which NETWORKS or CLUSTERING went on with a recording that was given up."""

    def to_message(self) -> Struct:
        message = Struct()
        message.update(
            {
                "stage": self.stage,
                "items": self.items,
                "seconds": self.seconds,
                "waits": list(self.waits),
                "queued": dict(self.queued),
                "given_up": self.given_up,
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
            held["given_up"],
        )
