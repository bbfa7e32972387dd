"""`make demo`: leaks in a real container and explains it; without the rights for that, explains a capture of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from demo.container import CannotRun, leaking
from kmemscope.model.errors import KmemscopeError

CAPTURE = Path(__file__).parent / "leak.kms"


def main() -> int:
    """Show the live container, or the capture and why."""
    reason = why_not_live()
    if reason:
        return show_capture(reason)
    try:
        with leaking() as leak:
            print(f"A program that leaks threads and sockets runs as {leak.how}.\n", flush=True)
            return kmemscope() or kmemscope("why", leak.target)
    except BrokenPipeError:  # the reader has seen enough
        return 0
    except (CannotRun, KmemscopeError, OSError) as error:
        return show_capture(str(error))


def why_not_live() -> str:
    """Say what is missing for a live demonstration, if anything."""
    if sys.platform != "linux":
        return "this is not Linux"
    if os.geteuid() != 0:
        return "this is not root"
    done = subprocess.run(
        [sys.executable, "-m", "kmemscope", "doctor", "--require", "exact"], capture_output=True, text=True, check=False
    )
    return " ".join(done.stderr.split()) if done.returncode else ""


def show_capture(reason: str) -> int:
    """Explain the capture that comes with the sources."""
    print(f"Not live: {reason}.\nThis is a capture of a real container that leaks threads and sockets:\n", flush=True)
    return kmemscope("why", "--from", str(CAPTURE))


def kmemscope(*words: str) -> int:
    """Run a command as a user would, and show it."""
    print(f"$ kmemscope {' '.join(words)}", flush=True)
    status = subprocess.run([sys.executable, "-m", "kmemscope", *words], check=False).returncode
    print(flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
