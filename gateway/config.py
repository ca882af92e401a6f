"""What the gateway can be told."""

from dataclasses import dataclass
from pathlib import Path

from gateway.access.config import AccessConfig
from gateway.addresses import target
from gateway.channels import BALANCING, LEAST_REQUEST
from gateway.merge import SECOND, MergeOptions
from gateway.retries import RetryPolicy
from serving.certificates import CertificateFiles
from serving.config import option
from serving.doors import DoorConfig

ENV_PREFIX = "DUOSCRIBE_GATEWAY_"


@dataclass(frozen=True, kw_only=True)
class GatewayConfig(AccessConfig, DoorConfig):
    """Raises ValueError for backend addresses that gRPC cannot balance over, and TLS settings that need each other."""

    address: str = option(
        "127.0.0.1:50050", "Where to listen: HOST:PORT (port 0 picks a free one) or unix:PATH."
    )
    http_address: str | None = option(
        None,
        "Where to answer OpenAI's clients over HTTP (POST /v1/audio/transcriptions): HOST:PORT (port 0 picks a free one); "
        "nowhere by default. With TLS where --address has it.",
    )
    http_models: tuple[str, ...] = option(
        (
            "whisper-1",
            "gpt-transcribe",
            "gpt-4o-transcribe",
            "gpt-4o-mini-transcribe",
            "gpt-4o-transcribe-diarize",
        ),
        "Names by which callers over HTTP may ask for the one model that there is; others are refused.",
    )
    asr: tuple[str, ...] = option(
        ("127.0.0.1:50051",),
        "Speech recognition: HOST:PORT of one or several IP addresses, one DNS name for all replicas, unix:PATH, or "
        "xds:///NAME.",
    )
    diarization: tuple[str, ...] = option(
        ("127.0.0.1:50052",), "Speaker diarization: addresses as for --asr."
    )
    backend_ca: Path | None = option(  # noqa: RUF009 - describes the field
        None,
        "Authorities in PEM that signed the backends' certificates: call backends with TLS, unless over unix sockets. Read "
        "again when it changes, as the next two are.",
    )
    backend_certificate: Path | None = option(  # noqa: RUF009
        None, "Certificate chain in PEM that the gateway shows to backends."
    )
    backend_key: Path | None = option(None, "That certificate's private key in PEM, without a password.")  # noqa: RUF009
    asr_server_name: str | None = option(
        None,
        "Name in the certificates of speech recognition, where they do not hold what --asr says, as with IP addresses.",
    )
    diarization_server_name: str | None = option(
        None, "Name in the certificates of speaker diarization; see --asr-server-name."
    )
    balancing: str = option(
        LEAST_REQUEST,
        "Which replica of a backend is called: the one with the fewest recordings of this gateway, or one after the other, "
        "by turns or by what they say of their load. Under xds:/// the control plane says.",
        choices=BALANCING,
    )
    spool_memory_bytes: int = option(
        8 * 1024 * 1024,
        "Decoded audio of one recording held in memory; the rest goes to a temporary file. 32,000 bytes are a second.",
        min=0,
    )
    spool_directory: Path | None = option(  # noqa: RUF009 - describes the field
        None, "Where temporary files go; by default the system's place."
    )
    attempts: int = option(
        6,
        "Calls in a row that come no further than those before, until a stage of a recording is given up: under least_request "
        "each on a replica that failed it least often, under other balancing on the next.",
        min=1,
    )
    backoff_seconds: float = option(
        0.2,
        "Wait before the second call; doubles with each further one, and is up to half longer at random.",
        min=0,
    )
    max_backoff_seconds: float = option(
        10.0,
        "Longest wait between two calls, also where all replicas ask for more, without what is added at random.",
        min=0,
    )
    silence_seconds: float = option(
        300.0,
        "A backend that owes an answer and sends nothing for this long counts as failed. Keep it above --max-idle-seconds.",
        min=0.01,
    )
    nearest_turn_seconds: float = option(
        0.5, "How far a word outside all turns looks for the nearest one.", min=0
    )
    change_within_sentence: float = option(
        3.5,
        "What speaks against a change of speaker within a sentence. A word in somebody's turn has 3 for them.",
        min=0,
    )
    change_after_sentence: float = option(
        0.3, "What speaks against a change of speaker where a sentence or a long pause ends.", min=0
    )
    change_without_sentences: float = option(
        1.0, "What speaks against a change of speaker in text without punctuation.", min=0
    )
    max_pause_seconds: float = option(1.0, "The longest pause within a segment.", min=0)
    sentence_after_seconds: float = option(
        15.0, "How long a segment gets before the end of a sentence divides it.", min=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for addresses in (self.asr, self.diarization):
            target(addresses)
        if (self.backend_certificate is None) != (self.backend_key is None):
            raise ValueError("--backend-certificate and --backend-key need each other")
        if self.backend_certificate is not None and self.backend_ca is None:
            raise ValueError("--backend-certificate needs --backend-ca")

    @property
    def backend_files(self) -> CertificateFiles | None:
        """What backends are called with; None for plain text."""
        if self.backend_ca is None:
            return None
        return CertificateFiles(
            certificate=self.backend_certificate, key=self.backend_key, ca=self.backend_ca
        )

    @property
    def retries(self) -> RetryPolicy:
        return RetryPolicy(
            attempts=self.attempts, backoff=self.backoff_seconds, max_backoff=self.max_backoff_seconds
        )

    @property
    def merging(self) -> MergeOptions:
        return MergeOptions(
            nearest_turn=round(self.nearest_turn_seconds * SECOND),
            change_within_sentence=round(self.change_within_sentence * 1000),
            change_after_sentence=round(self.change_after_sentence * 1000),
            change_without_sentences=round(self.change_without_sentences * 1000),
            max_pause=round(self.max_pause_seconds * SECOND),
            sentence_after=round(self.sentence_after_seconds * SECOND),
        )
