"""Boots one kernel in QEMU and waits for it to end.

Emulated (TCG), so that it needs no /dev/kvm and runs the same everywhere. QEMU is the one of Debian's
backports, never the 7.2 of Debian 12, whose emulation broke one boot in five; it is unpacked into the cache
and run by its own loader and libraries.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

DEBIAN_PACKAGES = tuple(
    f"{name}/bookworm-backports"
    for name in ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios")
)  # fmt: skip
_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
# A processor that a BPF program holds is a finding: the guest then says where it was (loglevel 5 shows it) and ends,
# instead of sitting there until its limit. 60 s, because the host may be busy with other things.
_WATCHDOG = "softlockup_panic=1 watchdog_thresh=30"
_KERNEL_ARGUMENTS = f"console=ttyS0 loglevel=5 panic=-1 mitigations=off {_WATCHDOG}"
_CONSOLE_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True)
class Ending:
    """How a virtual machine ended, and all that it said."""

    seconds: float
    console: str
    ended: str
    """Empty when it switched itself off; else why it was stopped, or QEMU's status."""


@dataclass(frozen=True)
class Emulator:
    """QEMU in the folder of its unpacked packages, and the machine that it plays."""

    folder: Path
    memory: str = "1G"
    processors: int = 2

    def boot(self, vmlinuz: Path, initramfs: Path, cgroup: int, log: Path, limit_seconds: float) -> Ending:
        """Run until the guest switches itself off, or for `limit_seconds`; its console goes to the log."""
        log.parent.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        with log.open("wb") as console:
            process = subprocess.Popen(
                self._command(vmlinuz, initramfs, cgroup),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={"QEMU_MODULE_DIR": str(self.folder / "usr/lib/x86_64-linux-gnu/qemu")},
            )
            try:
                ended = _wait(process, log, start + limit_seconds)
            finally:
                process.kill()
                process.wait()
        return Ending(time.monotonic() - start, log.read_text(errors="replace"), ended)

    def _command(self, vmlinuz: Path, initramfs: Path, cgroup: int) -> list[str]:
        loader = next(path for name in _LIBRARIES if (path := self.folder / name / "ld-linux-x86-64.so.2").exists())
        libraries = ":".join(str(self.folder / name) for name in _LIBRARIES)
        qemu = [str(loader), "--library-path", libraries, str(self.folder / "usr/bin/qemu-system-x86_64")]
        firmware = ["-L", str(self.folder / "usr/share/qemu"), "-L", str(self.folder / "usr/share/seabios")]
        machine = [
            "-accel",
            "tcg,thread=multi,tb-size=256",
            "-cpu",
            "max",
            "-smp",
            str(self.processors),
            "-m",
            self.memory,
        ]
        bare = ["-no-user-config", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
        kernel = ["-kernel", str(vmlinuz), "-initrd", str(initramfs)]
        return [
            *qemu,
            *firmware,
            *machine,
            *bare,
            *kernel,
            "-append",
            f"{_KERNEL_ARGUMENTS} kmemscope.cgroup={cgroup}",
        ]


def _wait(process: subprocess.Popen[bytes], log: Path, deadline: float) -> str:
    while True:
        try:
            status = process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                return "it was stopped at its time limit"
            if log.stat().st_size > _CONSOLE_LIMIT_BYTES:
                return "it was stopped because its console never fell silent"
        else:
            return f"QEMU ended with status {status}" if status else ""
