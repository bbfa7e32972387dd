"""Two programs that leak, each in a few hundred objects that can be counted: `python -m tests.captures.leak orders`."""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import ExitStack

THREADS = 300
SOCKET_PAIRS = 100
PIPES = 10
PIPE_BYTES = 65536


def orders(keep: ExitStack) -> None:
    """Threads that wait for ever and sockets that nobody closes."""
    threading.stack_size(64 * 1024)
    for _ in range(THREADS):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    for _ in range(SOCKET_PAIRS):
        for end in socket.socketpair():
            keep.enter_context(end)


def web(keep: ExitStack) -> None:
    """Data in pipes that nobody reads."""
    for _ in range(PIPES):
        ends = os.pipe()
        for end in ends:
            keep.callback(os.close, end)
        os.write(ends[1], bytes(PIPE_BYTES))


LEAKS = {"orders": orders, "web": web}

if __name__ == "__main__":
    with ExitStack() as stack:
        LEAKS[sys.argv[1]](stack)
        print("READY", flush=True)
        sys.stdin.read()
        os._exit(0)  # the threads never end
