"""What the service needs before it can serve: an engine, ears, and their names."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from asr_service import engines
from asr_service.config import AsrConfig
from asr_service.engines.base import Engine, EngineInfo
from asr_service.scheduler import Limits
from asr_service.utterances import CutOptions
from asr_service.vad import ENGINE, VoiceActivityDetector, silero
from serving.cores import cores
from serving.models.roles import RECOGNITION, VOICE_ACTIVITY
from serving.models.store import ModelStore
from serving.times import SAMPLE_RATE
from speech.audio.v1 import audio_pb2

_VAD_FILE = "silero_vad.onnx"

# Utterances of one recording that are worth having for full batches: voice activity detection hears it 250 times faster
# than it sounds, so those of a fast engine are never all there at once.
_MOST_BATCHED = 32


@dataclass(frozen=True)
class LoadedModels:
    """Loaded and warm, shared by all streams."""

    engine: Engine
    detector: Callable[[], VoiceActivityDetector]
    """Makes the ears of one recording."""
    infos: tuple[audio_pb2.ModelInfo, ...]


def load_models(config: AsrConfig, store: ModelStore) -> LoadedModels:
    """Blocks for seconds. Raises ModelUnavailable."""
    recognition = store.info(config.model, role=RECOGNITION.name)
    engine = engines.load(
        store.path(config.model),
        precision=config.model_precision,
        threads=config.threads,
        engine=config.engine_name,
        settings=config.ort,
        name=config.model,
        fingerprint=recognition.fingerprint,
    )
    detector = silero(store.path(VOICE_ACTIVITY.default) / _VAD_FILE, config.vad)
    detector().accept(np.zeros(SAMPLE_RATE, np.float32))
    activity = store.info(VOICE_ACTIVITY.default, role=VOICE_ACTIVITY.name)
    recognition.engine, recognition.provider = engine.info.engine, engine.info.provider
    activity.engine, activity.provider = ENGINE, "cpu"
    return LoadedModels(engine, detector, (recognition, activity))


def cut_options(config: AsrConfig, info: EngineInfo) -> CutOptions:
    """The configured window, or the one the model likes; never more than it takes."""
    defaults = CutOptions(window=info.preferred_seconds)
    return CutOptions(
        window=min(config.window_seconds or info.preferred_seconds, info.max_seconds - 2 * defaults.padding),
        first_speech=config.first_speech_seconds,
        long_pause=config.long_pause_seconds,
    )


def scheduling_limits(config: AsrConfig, info: EngineInfo) -> Limits:
    """What was configured, else what suits the engine."""
    parallel = config.parallel or info.parallel or max(1, cores() // config.threads)
    max_batch = min(config.max_batch or info.max_batch, info.max_batch)
    return Limits(
        parallel=parallel,
        backlog=config.backlog or max(parallel, min(parallel * max_batch, _MOST_BATCHED)) + 2,
        max_batch=max_batch,
        max_batch_seconds=info.max_batch_seconds,
        max_delay=config.max_queue_delay_seconds,
        max_queue=config.max_queue or max(4 * config.max_streams, 2 * max_batch * parallel),
    )
