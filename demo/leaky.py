"""The program in the container: a service that forgets its threads and its sockets, like many do.

Every request starts a thread that never ends and opens a pair of sockets that nobody closes; each connection has an
unread message. Runs until its standard input is closed.
"""

import resource
import socket
import sys
import threading

REQUESTS = 1500
STACK_BYTES = 64 * 1024


def handle(forever: threading.Event, connections: list[socket.socket]) -> None:
    """Serve one request, and leak what it took."""
    ours, theirs = socket.socketpair()
    ours.send(b"an answer that nobody reads")
    connections += [ours, theirs]
    threading.Thread(target=forever.wait, daemon=True).start()


def main() -> None:
    """Serve all requests, then wait."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    threading.stack_size(STACK_BYTES)
    forever, connections = threading.Event(), []
    for _ in range(REQUESTS):
        handle(forever, connections)
    print(f"READY after {REQUESTS} requests", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
