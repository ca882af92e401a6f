"""What services log of their decoders, and how much memory all of them take."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

import psutil

from benchmarks.processes import resident_memory, usage

_EVERY_SECONDS = 0.1
_DECODER = "a decoder, with what it shares"


class DecoderDeaths:
    """Counts, from the log lines of services, decoders that ended early, by signal or exit code."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._rest = b""

    def read(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if b"a decoder ended early" in line:
                told = json.loads(line)
                self.counts[told["signal"] or f"exit code {told['exit_code']}"] += 1


class Memory:
    """Highest resident memory seen, in bytes, of each service and of any decoder."""

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}

    async def watch(self, services: Mapping[str, int]) -> None:
        """By process id; until it is cancelled."""
        while True:
            for name, pid in services.items():
                self._note(name, resident_memory(pid))
                self._note_decoders(pid)
            await asyncio.sleep(_EVERY_SECONDS)

    def _note_decoders(self, service: int) -> None:
        for server in psutil.Process(service).children():
            with suppress(psutil.NoSuchProcess):
                if "serving.decoding" in server.cmdline():
                    for decoder in server.children():
                        self._note(_DECODER, usage(decoder.pid).peak_memory_bytes)

    def _note(self, name: str, size: int) -> None:
        self.peaks[name] = max(size, self.peaks.get(name, 0))
