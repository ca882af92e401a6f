"""The process that computes. Started by the service as `python -m diarization_service.worker CONFIG`, CONFIG in JSON.

It answers many recordings at once over its standard input and output (`diarization_service.frames`); whatever else is
printed, by whomever, goes to standard error. It ends when standard input does, so it never outlives its service.
"""

import os
import sys
from functools import partial
from typing import NoReturn

from diarization_service.answering import serve
from diarization_service.config import WorkerConfig
from diarization_service.devices import provider
from diarization_service.early import EarlyClustering
from diarization_service.mailbox import Inbox, Outbox, take_standard_output
from diarization_service.recording import Recording
from diarization_service.torch_networks import TorchNetworks, load_networks
from serving import logs
from serving.errors import DuoscribeError
from serving.models.roles import EMBEDDING, SEGMENTATION
from serving.speakers import SpeakerBounds
from serving.times import duration
from speech.audio.v1.audio_pb2 import ModelInfo
from speech.diarization.v1.diarization_pb2 import DescribeDiarizationResponse

# isort: split
import pyannote.audio

# Whose networks, definitions and parameters these are.
ENGINE = f"pyannote.audio {pyannote.audio.__version__}"

_log = logs.get_logger("diarization_service.worker")


def main() -> NoReturn:
    """Load, warm up, and answer recordings until the service closes standard input."""
    outbox = Outbox(take_standard_output())
    config = WorkerConfig.from_json(sys.argv[1])
    logs.configure(config.log_level, config.log_format)
    inbox = Inbox(sys.stdin.buffer)
    inbox.start()
    try:
        networks = load_networks(config)
        networks.warm_up()
        serve(networks, partial(_recording, networks), _description(networks), inbox, outbox)
    except DuoscribeError as error:
        _log.error("cannot load", reason=error.message)
    except Exception:  # noqa: BLE001  the process ends with it, whatever it was
        _log.exception("the worker ends")
    # An orderly end would wait for the thread that waits for standard input.
    os._exit(1)


def _recording(networks: TorchNetworks, bounds: SpeakerBounds) -> Recording:
    early = EarlyClustering(bounds, networks.geometry.dimension)
    return Recording(networks.geometry, bounds, early, networks.block_windows)


def _description(networks: TorchNetworks) -> DescribeDiarizationResponse:
    """What runs where, and the step from one segmentation frame to the next."""
    return DescribeDiarizationResponse(
        models=[
            ModelInfo(role=role.name, engine=ENGINE, provider=provider(networks.device))
            for role in (SEGMENTATION, EMBEDDING)
        ],
        early_turns=True,
        resolution=duration(networks.geometry.frame_step),
        mode=networks.settings.mode,
    )


if __name__ == "__main__":
    main()
