"""Where the memory hierarchy is mounted, its version, and where in it a process lives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted cgroup hierarchy that has the memory controller."""

    mount: Path
    version: int

    @classmethod
    def find(cls) -> Hierarchy | None:
        """The hierarchy of this machine; None where memory is not controlled."""
        for line in Path("/proc/mounts").read_text().splitlines():
            _, mount, kind, options, *_ = line.split()
            if kind == "cgroup" and "memory" in options.split(","):
                return cls(Path(mount), 1)
            if kind == "cgroup2" and "memory" in (Path(mount) / "cgroup.controllers").read_text().split():
                return cls(Path(mount), 2)
        return None

    def directory_of(self, process: str = "self") -> Path:
        """The directory of the cgroup that a process is in."""
        for line in Path(f"/proc/{process}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if ("memory" in controllers.split(",")) if self.version == 1 else not controllers:
                return self.mount / path.lstrip("/")
        raise LookupError(f"process {process} is in no memory cgroup")
