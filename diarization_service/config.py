"""What the diarization service can be told, and what it tells its workers."""

import json
from dataclasses import asdict, dataclass
from itertools import cycle, islice

from serving.config import ServerConfig, option
from serving.models.roles import EMBEDDING, SEGMENTATION

ENV_PREFIX = "DUOSCRIBE_DIARIZATION_"
MODES = ("auto", "exact", "fast")
PRECISIONS = ("auto", "fp32", "tf32", "fp16", "bf16")


@dataclass(frozen=True, kw_only=True)
class Config(ServerConfig):
    """Flags of `python -m diarization_service`."""

    address: str = option(
        "127.0.0.1:50052", "Where to listen: HOST:PORT (port 0 picks a free one) or unix:PATH."
    )
    segmentation_model: str = option(
        SEGMENTATION.default,
        "Model that hears who speaks within a window: a name from `duoscribe models list`, or a folder.",
        env=SEGMENTATION.variable,
    )
    embedding_model: str = option(
        EMBEDDING.default,
        "Model that says what a speaker sounds like: a name from `duoscribe models list`, or a folder.",
        env=EMBEDDING.variable,
    )
    device: str = option(
        "auto",
        "Where to compute: cpu, cuda, cuda:N, or auto: a GPU if torch sees one; several, separated by commas, have workers "
        "in turn.",
    )
    workers: int = option(
        0,
        "Processes that compute, dealt over the devices in turn; 0 starts one for each device. Four keep a data-centre GPU busy.",
        min=0,
        max=64,
    )
    recordings: int = option(
        16,
        "Recordings in flight at once in each worker; they share batches. A further one is refused.",
        min=1,
    )
    max_wait_seconds: float = option(
        300.0,
        "A new recording is refused while the windows that wait for the networks will take longer than this, in seconds, at "
        "the speed of the last batches.",
        min=0.01,
    )
    threads: int = option(0, "CPU threads of each worker; 0 takes all cores that the process may use.", min=0)
    mode: str = option(
        "auto",
        "exact: turns are those of pyannote.audio. fast: embeddings are computed in bf16 where the CPU has instructions for "
        "it, else several windows share them; turns may differ. auto: fast where the CPU has those, else exact.",
        choices=MODES,
    )
    precision: str = option(
        "auto",
        "What embeddings are computed in: fp32, bf16, or on GPUs fp16 (recurrent layers of segmentation as well) or tf32 (all of "
        "segmentation as well); auto takes what was measured to suit the device and the mode.",
        choices=PRECISIONS,
    )
    segmentation_batch_size: int = option(
        0, "Windows of 10 s segmented at once; 0 takes what was measured to suit the device.", min=0
    )
    embedding_batch_size: int = option(
        0, "Windows of 10 s embedded at once; 0 takes what was measured to suit the device.", min=0
    )
    cancel_grace_seconds: float = option(
        5.0,
        "How long a worker may go on computing for a cancelled recording before it is killed and started anew, in seconds.",
        min=0,
    )

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of each worker."""
        named = [name for part in self.device.split(",") if (name := part.strip())] or ["auto"]
        return tuple(islice(cycle(named), self.workers or len(named)))


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker process is started with; travels on its command line.

    `segmentation` and `embedding` are folders with `model.safetensors` and `config.json`. Zero threads or batch sizes
    mean: what suits the device.
    """

    segmentation: str
    embedding: str
    device: str = "auto"
    mode: str = "auto"
    precision: str = "auto"
    threads: int = 0
    segmentation_batch_size: int = 0
    embedding_batch_size: int = 0
    log_level: str = "info"
    log_format: str = "auto"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "WorkerConfig":
        return cls(**json.loads(text))
