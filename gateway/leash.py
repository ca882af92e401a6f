"""Runs a module so that it cannot outlive whoever started it.

    python -P -m gateway.leash DIRECTORY MODULE [ARGUMENT…]

Standard input is the leash: the starter holds the other end of the pipe and never writes. However the starter ends,
SIGKILL included, the pipe closes; then the private DIRECTORY that both shared is removed and the whole process group
is killed, workers of the module too. So the module must be started as the leader of a group of its own. This asks
nothing of the module, and works wherever there are pipes.
"""

import os
import runpy
import shutil
import signal
import sys
import threading


def _await_end(directory: str) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    shutil.rmtree(directory, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    directory, module, *arguments = sys.argv[1:]
    threading.Thread(target=_await_end, args=(directory,), name="leash", daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
