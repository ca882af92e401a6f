"""A worker's loop: one recording after the other, whatever computes the answer. Knows nothing of torch."""

import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import structlog
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status

from diarization_service.frames import Kind
from diarization_service.mailbox import Cancelled, Inbox, Outbox
from diarization_service.patches import completed, patches
from diarization_service.progress import ProgressMeter
from diarization_service.stages import MachineFailed
from diarization_service.turns import Diarization, Known
from serving import logs
from serving.speakers import SpeakerBounds, speaker_bounds
from serving.status import to_status
from serving.times import duration, samples_to_duration
from speech.audio.v1.audio_pb2 import StageTiming
from speech.diarization.v1.diarization_pb2 import (
    DescribeDiarizationResponse,
    DiarizationConfig,
    DiarizeResponse,
)

_FULL_SCALE = 32_768

_log = logs.get_logger(__name__)

# Called with a step's name and how many of its parts are done (None, None: all). Raising ends the run.
Hook = Callable[[str, int | None, int | None], None]


class Diarizer(Protocol):
    """What computes the answer to one recording: `diarization_service.pipeline.Pipeline`, or a test's stand-in."""

    def __call__(self, samples: npt.NDArray[np.float32], bounds: SpeakerBounds, hook: Hook) -> Diarization:
        """Who speaks when in mono 16 kHz `samples` of shape (time,). Passes on what `hook` raises."""
        ...


def serve(diarizer: Diarizer, description: DescribeDiarizationResponse, inbox: Inbox, outbox: Outbox) -> None:
    """Answer recordings until the process ends.

    Raises MachineFailed, upon which the process must end; the service then starts another.
    """
    outbox.send(Kind.READY, description)
    while True:
        config = inbox.next_config()
        with structlog.contextvars.bound_contextvars(request_id=config.request_id):
            failure = _failure(config, diarizer, inbox, outbox)
        if failure is not None:
            outbox.send(Kind.FAILED, failure)


def _failure(config: DiarizationConfig, diarizer: Diarizer, inbox: Inbox, outbox: Outbox) -> Status | None:
    """Answer one recording; why it was not answered whole, if it was not."""
    try:
        _answer(config, diarizer, inbox, outbox)
    except Cancelled:
        return Status(code=code_pb2.CANCELLED, message="the recording was given up")
    except MachineFailed:
        raise
    except Exception as error:  # noqa: BLE001  the loop outlives a bug in one recording
        _log.exception("diarization failed")
        return to_status(error)
    return None


def _answer(config: DiarizationConfig, diarizer: Diarizer, inbox: Inbox, outbox: Outbox) -> None:
    samples = _samples(inbox.audio())
    started = time.monotonic()
    meter = ProgressMeter()

    def hook(step: str, done: int | None, total: int | None) -> None:
        inbox.check()
        progress = meter.advance(step, done, total)
        if progress is not None:
            outbox.send(Kind.RESPONSE, DiarizeResponse(progress=progress))

    found = diarizer(samples, speaker_bounds(config.speakers), hook)
    for update in patches(Known(), found.known):
        outbox.send(Kind.RESPONSE, DiarizeResponse(turns=update))
    outcome = completed(found)
    outcome.timing.CopyFrom(
        StageTiming(
            audio_duration=samples_to_duration(found.samples),
            compute_duration=duration(time.monotonic() - started),
        )
    )
    outbox.send(Kind.RESPONSE, DiarizeResponse(completed=outcome))


def _samples(chunks: Iterator[bytes]) -> npt.NDArray[np.float32]:
    """16-bit audio as floats in [-1, 1). Converted chunk by chunk: hours of audio are held once, not twice."""
    held = bytearray()
    for chunk in chunks:
        held += (np.frombuffer(chunk, "<i2").astype(np.float32) / _FULL_SCALE).tobytes()
    return np.frombuffer(held, np.float32)
