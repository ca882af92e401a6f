"""The process that computes. Started by the service as `python -m diarization_service.worker CONFIG`, CONFIG in JSON.

It answers one recording after the other over its standard input and output (`diarization_service.frames`); whatever else
is printed, by whomever, goes to standard error. It ends when standard input does, so it never outlives its service.
"""

import os
import sys
from typing import NoReturn

from diarization_service.answering import serve
from diarization_service.config import WorkerConfig
from diarization_service.mailbox import Inbox, Outbox, take_standard_output
from diarization_service.pipeline import load_pipeline
from serving import logs
from serving.errors import DuoscribeError

_log = logs.get_logger("diarization_service.worker")


def main() -> NoReturn:
    """Load, warm up, and answer recordings until the service closes standard input."""
    outbox = Outbox(take_standard_output())
    config = WorkerConfig.from_json(sys.argv[1])
    logs.configure(config.log_level, config.log_format)
    inbox = Inbox(sys.stdin.buffer)
    inbox.start()
    try:
        pipeline = load_pipeline(config)
        pipeline.warm_up()
        serve(pipeline, pipeline.description(), inbox, outbox)
    except DuoscribeError as error:
        _log.error("cannot load", reason=error.message)
    except Exception:  # noqa: BLE001  the process ends with it, whatever it was
        _log.exception("the worker ends")
    # An orderly end would wait for the thread that waits for standard input.
    os._exit(1)


if __name__ == "__main__":
    main()
