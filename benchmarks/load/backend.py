"""A fake backend as a process of its own: `python -m benchmarks.load.backend recognition|diarization --address=…`.

It takes uploads as the real services do and answers at once, so that what is measured is the gateway.
"""

import argparse
import sys
from collections.abc import Callable

from benchmarks.long_upload import FakeDiarization, FakeRecognition
from serving.config import ServerConfig
from serving.server import Service, run

# Never what refuses a recording.
_PLACES = 10_000

_BACKENDS: dict[str, Callable[[], Service]] = {"recognition": FakeRecognition, "diarization": FakeDiarization}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backend", choices=_BACKENDS)
    parser.add_argument("--address", required=True)
    arguments = parser.parse_args()
    config = ServerConfig(
        address=arguments.address, max_streams=_PLACES, drain_seconds=0.0, log_level="warning"
    )
    return run(_BACKENDS[arguments.backend](), config)


if __name__ == "__main__":
    sys.exit(main())
