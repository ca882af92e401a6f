"""The fork server: has imported all that decoding needs, and makes a decoder for each recording by forking itself.

    python -m serving.decoding CONTROL [DIRECTORY]

CONTROL is the number of an inherited socket, over which the service sends a byte and two sockets for each recording: the one
that the recording is talked about, and a leash. DIRECTORY is where files go that must be kept whole.

It has one thread, reads nothing that callers sent, and never touches gRPC, so forking it is safe, costs milliseconds and shares
its memory. (multiprocessing's fork server unpickles what it is sent.) It ends, and its decoders with it, when CONTROL
closes, however the service ended.
"""

import gc
import os
import selectors
import signal
import socket
import sys
from pathlib import Path

from serving.decoding import child
from serving.decoding.leash import NOT_FORKED, tell


class ForkServer:
    """Belongs to the main thread, whose signals it takes."""

    def __init__(self, control: socket.socket, directory: Path | None) -> None:
        self._control = control
        self._directory = directory
        self._leashes: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ, self._fork)
        self._serving = True

    def run(self) -> None:
        """Until the service has gone."""
        self._watch_children()
        self._control.sendall(b"r")
        while self._serving:
            for key, _ in self._selector.select():
                key.data()
        for pid in self._leashes:
            os.kill(pid, signal.SIGKILL)

    def _watch_children(self) -> None:
        woken, wakes = socket.socketpair()
        wakes.setblocking(False)
        signal.set_wakeup_fd(wakes.detach(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(woken, selectors.EVENT_READ, lambda: self._reap(woken))

    def _fork(self) -> None:
        byte, descriptors, _, _ = socket.recv_fds(self._control, 1, 2)
        if not byte:
            self._serving = False
            return
        recording, leash = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        with recording:
            pid = self._forked(recording)
        tell(leash, pid)
        if pid == NOT_FORKED:
            leash.close()
            return
        self._leashes[pid] = leash
        self._selector.register(leash, selectors.EVENT_READ, lambda: self._let_go(pid))

    def _forked(self, recording: socket.socket) -> int:
        """The decoder's process id, or NOT_FORKED; in the decoder it does not return."""
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            return NOT_FORKED
        if pid == 0:
            child.run(recording, parent, self._directory)
        return pid

    def _let_go(self, pid: int) -> None:
        """The service has closed the leash: nobody wants the recording any more."""
        if pid in self._leashes:
            self._selector.unregister(self._leashes[pid])
            os.kill(pid, signal.SIGKILL)

    def _reap(self, woken: socket.socket) -> None:
        woken.recv(4096)
        while self._leashes:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            leash = self._leashes.pop(pid)
            if leash.fileno() in self._selector.get_map():
                self._selector.unregister(leash)
            tell(leash, status)
            leash.close()


def main() -> None:
    # A terminal's Ctrl-C, or whoever stops a whole group, means the service, which drains; its decoders work on meanwhile.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    control, *directory = sys.argv[1:]
    gc.collect()
    gc.freeze()
    ForkServer(socket.socket(fileno=int(control)), Path(directory[0]) if directory else None).run()


if __name__ == "__main__":
    main()
