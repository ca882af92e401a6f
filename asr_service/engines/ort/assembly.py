"""Makes an engine of a model's folder: where to run it, its sessions, and a first run of all of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import inf
from pathlib import Path

import numpy as np

from asr_service.engines.base import EngineInfo, Speech
from asr_service.engines.checks import check
from asr_service.engines.layout import Precision, detect
from asr_service.engines.ort.build import Tell
from asr_service.engines.ort.devices import Installation
from asr_service.engines.ort.engine import OrtEngine
from asr_service.engines.ort.families import plan
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.plan import Opened
from asr_service.engines.ort.profiles import Profiles
from asr_service.engines.ort.recipe import Recipe
from asr_service.engines.ort.runtime import Session
from asr_service.engines.ort.settings import Settings
from asr_service.engines.ort.shelf import LoadedEngine, Shelf
from asr_service.engines.ort.site import Site
from asr_service.engines.ort.source import Source
from asr_service.engines.ort.watching import Watch, unwatched
from asr_service.engines.traits import TRAITS
from serving import logs
from serving.cores import cores
from serving.errors import ModelUnavailable, Unavailable
from serving.times import SAMPLE_RATE

# GPUs have a batch's features computed, and copied, while they work on another.
_PARALLEL_ON_GPU = 2
# CPUs gain from reading weights once for several short utterances: of a FastConformer with 109 M parameters 16 of 1 s took 0.37
# of the time that they took one by one, 8 of 3 s 0.74, and of 10 s any number 0.95.
_BATCH_SECONDS_ON_CPU = 24.0
# Beyond a few threads NumPy's short calls wait for the interpreter more than they compute: beside an H200, with 32 cores,
# 128-band features came to 3,752 seconds of audio a second with 1 thread, 10,349 with 4, 9,217 with 8, 7,372 with 16, and
# 3,334 with 32. Where the GPU computes features, as many put its samples together.
_FEATURE_THREADS = 4
# A step of a search costs a GPU nearly the same for any number of rows; the encoder takes them in parts.
_SEARCHED_AT_ONCE = 128

# Characters of an error's message that are worth repeating.
_SHOWN = 300

_log = logs.get_logger(__name__)


def open_engine(
    source: Source,
    precision: Precision,
    settings: Settings,
    installation: Installation,
    watch: Watch = unwatched,
) -> OrtEngine:
    """Loads and warms a model. Blocks for seconds, with `settings.build` for minutes. Raises ModelUnavailable.

    `precision` is for CPUs: on GPUs the fp32 files of a folder that holds both are taken. `watch` is told how long the
    stages of batches take.
    """
    full = detect(source.directory, "fp32")
    check(full)
    with _blaming(source.directory):
        network = plan(full).network()
    shelf = Shelf(network, settings, installation, source.name, source.fingerprint)
    choice = shelf.choose(list(full.files.values()))
    layout = detect(source.directory, precision) if choice.provider == "cpu" else full
    check(layout)
    pool = ThreadPoolExecutor(min(cores(), _FEATURE_THREADS), thread_name_prefix="features")
    with _blaming(source.directory):
        return _opened(Site(layout, choice, settings, installation, pool, watch), shelf)


@contextmanager
def _blaming(directory: Path) -> Iterator[None]:
    """Metadata that contradict the graph show only when it runs, and then in whatever comes first."""
    try:
        yield
    except ModelUnavailable as error:
        if str(directory) in error.message:
            raise
        raise ModelUnavailable(f"{directory}: {error.message}") from error
    except Unavailable as error:
        raise ModelUnavailable(
            f"there is too little memory for the largest batches of the model in {directory}; free some, choose another GPU "
            "with --device-id, or smaller batches with --profile"
        ) from error
    except Exception as error:
        said = str(error).partition("\n")[0][:_SHOWN]
        raise ModelUnavailable(
            f"ONNX Runtime cannot run the model in {directory} ({said}); fetch the model again"
        ) from error


def _opened(site: Site, shelf: Shelf) -> OrtEngine:
    model = plan(site.layout)
    built = shelf.open(site.choice, _told) if site.choice.provider == "tensorrt" else []
    lanes = _on_tensorrt(built) if built else Lanes.one(site.profiles, Session(model.encoder, site.placement))
    opened = model.open(site, lanes)
    for loaded in built:
        _judge(loaded, opened)
    findings = [loaded.record.finding for loaded in built]
    engine = OrtEngine(opened.recognizer, _info(site, lanes.profiles, opened, findings))
    _warm(engine, site)
    return engine


def _told(recipe: Recipe) -> Tell:
    return lambda stage: _log.info("TensorRT engine", engine=recipe.name, stage=stage)


def _on_tensorrt(built: list[LoadedEngine]) -> Lanes:
    profiles = Profiles(tuple(engine.profile for engine in built))
    return Lanes(profiles, {engine.profile: engine.session for engine in built})


def _judge(loaded: LoadedEngine, opened: Opened) -> None:
    outputs = loaded.session.run(loaded.inputs, keep=loaded.session.outputs)
    figures = loaded.judge(outputs, opened.token_ids(outputs))
    _log.info("TensorRT computes what the CPU does", profile=str(loaded.profile), figures=str(figures))


def _info(site: Site, profiles: Profiles, opened: Opened, findings: list[str]) -> EngineInfo:
    family = site.layout.family
    traits = TRAITS[family]
    return EngineInfo(
        family=family,
        engine=f"onnxruntime {site.installation.onnxruntime}",
        provider=site.choice.provider,
        languages=opened.languages,
        measures_time=opened.measures_time,
        times_drift=family == "whisper",
        has_confidence=True,
        preferred_seconds=min(traits.preferred_seconds, profiles.max_seconds),
        max_seconds=min(traits.max_seconds, profiles.max_seconds),
        max_batch=_max_batch(site, profiles) if opened.rows_are_independent else 1,
        max_batch_seconds=inf if site.on_gpu else _BATCH_SECONDS_ON_CPU,
        parallel=_PARALLEL_ON_GPU if site.on_gpu else 0,
        provider_reason="; ".join([site.choice.reason, *filter(None, findings)]),
    )


def _max_batch(site: Site, profiles: Profiles) -> int:
    return max(profiles.max_rows, _SEARCHED_AT_ONCE) if site.on_gpu else profiles.max_rows


def _warm(engine: OrtEngine, site: Site) -> None:
    """Grows arenas before the first caller waits for it: on GPUs to the largest batches, to fail now or never."""
    if not site.on_gpu:
        engine.recognize([Speech(np.zeros(SAMPLE_RATE, np.float32))])
        return
    for profile in site.profiles.all:
        seconds = min(profile.seconds.max, engine.info.max_seconds)
        speech = Speech(np.zeros(round(seconds * SAMPLE_RATE), np.float32))
        engine.recognize([speech] * profile.rows.max)
