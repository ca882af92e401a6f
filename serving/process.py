"""The process around a server: its standard output, its signals, its end."""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# Threads cannot be cancelled; a process that is done does not wait for them longer than this.
_LAST_THREADS_SECONDS = 1.0


def claim_stdout() -> Callable[[str], None]:
    """Keep standard output for one line, written by the function returned; all else goes to standard error.

    This also catches what native libraries print.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)

    def print_line(line: str) -> None:
        with os.fdopen(kept, "w") as stdout:
            stdout.write(line + "\n")

    return print_line


def watch_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; the second ends the process at once, with code 1."""
    signalled = asyncio.Event()
    loop = asyncio.get_running_loop()

    def first() -> None:
        signalled.set()
        for number in _SIGNALS:
            # Not through the loop: it may be what hangs.
            signal.signal(number, lambda *_: os._exit(1))

    for number in _SIGNALS:
        loop.add_signal_handler(number, first)
    return signalled


def keep_what_is_loaded() -> None:
    """Take all that stands now out of garbage collection, whose largest rounds would go over it while everything waits."""
    gc.collect()
    gc.freeze()


def leave_threads_behind(code: int) -> None:
    """End the process with `code` shortly, even if threads are still computing: a model that loads, a last decode.

    Without them it ends by itself before.
    """
    timer = threading.Timer(_LAST_THREADS_SECONDS, os._exit, [code])
    timer.daemon = True
    timer.start()
