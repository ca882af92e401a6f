"""What the speech recognition service can be told."""

from dataclasses import dataclass
from typing import Literal, cast

from asr_service.engines.ort.profiles import SYNTAX, parse_all
from asr_service.engines.ort.settings import (
    PRECISIONS,
    WANTED,
    EnginePrecision,
    Settings,
    Wanted,
    parse_options,
)
from asr_service.vad import VadOptions
from serving.config import option
from serving.doors import DoorConfig
from serving.models.roles import RECOGNITION

ENV_PREFIX = "DUOSCRIBE_ASR_"


@dataclass(frozen=True, kw_only=True)
class AsrConfig(DoorConfig):
    address: str = option(
        "127.0.0.1:50051", "Where to listen: HOST:PORT (port 0 picks a free one) or unix:PATH."
    )
    model: str = option(
        RECOGNITION.default,
        "Recognition model: a name that `duoscribe models list` shows, or a folder in one of sherpa-onnx's layouts; "
        "for the engine ort also in onnx-asr's.",
        env=RECOGNITION.variable,
    )
    precision: str = option(
        "int8", "Which files to prefer where the model's folder holds both.", choices=("int8", "fp32")
    )
    engine: str = option(
        "sherpa",
        "What runs the model: sherpa-onnx on CPUs, or ort, ONNX Runtime, which decodes in batches on GPUs and CPUs.",
        choices=("sherpa", "ort"),
    )
    provider: str = option(
        "auto",
        "Where the engine ort runs. auto takes TensorRT where its engines are built, else CUDA, else the CPU, and says in "
        "its log and when it is described what it took and why; what is named is taken, or the service does not start.",
        choices=WANTED,
    )
    device_id: int = option(
        0,
        "Which GPU, in the order of their places on the bus, among those that CUDA_VISIBLE_DEVICES leaves.",
        min=0,
    )
    profile: tuple[str, ...] = option(
        (),
        f"Batches that TensorRT's engines are for; may be given several times. {SYNTAX} By default what suits the model.",
    )
    engine_precision: str = option(
        "fp16",
        "What TensorRT's engines compute with. On CUDA, fp32 forbids to round products to TF32.",
        choices=PRECISIONS,
    )
    build_engines: bool = option(
        False,
        "Build missing TensorRT engines before serving, which takes minutes for each profile, instead of not starting. "
        "`duoscribe engines build` does it ahead of time.",
    )
    provider_option: tuple[str, ...] = option(
        (),
        "NAME=VALUE, an option of ONNX Runtime that replaces what would be chosen; may be given several times. Names that "
        "begin with trt_ are TensorRT's, those with dots a session's, the others CUDA's.",
    )
    threads: int = option(
        1,
        "Threads for each utterance being decoded. One is cheapest: measured on two cores, two utterances at once took "
        "4.2 s of processor time where one at a time on two threads took 8.",
        min=1,
    )
    parallel: int = option(
        0,
        "Batches decoded at once; 0 is what suits the engine: on CPUs as many as the cores have threads for.",
        min=0,
    )
    max_batch: int = option(
        0, "Utterances decoded together, never more than the engine takes; 0 is as many as it takes.", min=0
    )
    max_queue_delay_seconds: float = option(
        0.005,
        "How long an utterance may wait for others to be decoded with while the engine is idle. While it is busy they "
        "gather by themselves, and an engine that takes one at a time never waits.",
        min=0,
        max=10,
    )
    max_queue: int = option(
        0,
        "Utterances waiting for the engine from which on a new recording is refused, and those in flight have to wait "
        "with more; 0 is four for each of --max-streams, or two full batches for each that is decoded at once.",
        min=0,
    )
    kserve_name: tuple[str, ...] = option(
        (),
        "A further name of the model for callers of KServe's protocol, as scripts for a Triton server have one; may be given "
        "several times.",
    )
    max_wait_seconds: float = option(
        300.0,
        "A new recording is refused while the audio that waits for the engine will take longer than this, in seconds, at the "
        "speed of the last batches.",
        min=0.01,
    )
    backlog: int = option(
        0,
        "Utterances of one recording on their way to the caller before its upload has to wait; "
        "0 is two more than are decoded at once, of which full batches are at most 32.",
        min=0,
    )
    window_seconds: float = option(
        0.0,
        "Longest utterance, at least 1 s and never more than the model takes; "
        "0 is what suits the model's family best (25 to 30 s).",
        min=0,
        max=60,
    )
    first_speech_seconds: float = option(
        2.5, "The first utterance ends at the first pause after this much speech, for an early answer.", min=0
    )
    long_pause_seconds: float = option(1.5, "A pause that ends an utterance, however short it is.", min=0.2)
    vad_threshold: float = option(0.5, "Probability from which audio counts as speech.", min=0.05, max=0.95)
    vad_min_speech_seconds: float = option(0.1, "Shorter bursts are not taken for speech.", min=0.03, max=2)
    vad_min_silence_seconds: float = option(
        0.1, "Shorter pauses count as speech, and do not correct the times of words.", min=0.05, max=2
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.window_seconds < 1:
            raise ValueError(f"window_seconds must be 0 or at least 1, is {self.window_seconds:g}")
        if self.engine == "sherpa" and self.provider in {"cuda", "tensorrt"}:
            raise ValueError(f"sherpa runs on CPUs alone: for provider {self.provider} choose engine ort")
        parse_all(self.profile)
        parse_options(self.provider_option)

    @property
    def ort(self) -> Settings:
        """What the engine ort is told."""
        return Settings(
            cast("Wanted", self.provider),
            self.device_id,
            self.threads,
            parse_all(self.profile),
            cast("EnginePrecision", self.engine_precision),
            self.build_engines,
            options=parse_options(self.provider_option),
        )

    @property
    def engine_name(self) -> Literal["sherpa", "ort"]:
        return "ort" if self.engine == "ort" else "sherpa"

    @property
    def model_precision(self) -> Literal["int8", "fp32"]:
        return "fp32" if self.precision == "fp32" else "int8"

    @property
    def vad(self) -> VadOptions:
        return VadOptions(
            threshold=self.vad_threshold,
            min_speech=self.vad_min_speech_seconds,
            min_silence=self.vad_min_silence_seconds,
        )
