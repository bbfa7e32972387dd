"""Builds the BPF programs: C to object to light skeleton to the two files that the wheel carries.

A light skeleton is a small BPF program that makes the maps and loads the other programs, plus the data that it works
on; `observe/bpf/skeleton.py` runs it with nothing but bpf(2). The layout of its context is libbpf's own affair and may
change from one version to the next, so the version of bpftool is pinned here and recorded beside the data.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BPFTOOL = "v7.1.0"
LIBBPF = "v1.1"
FORMAT = 1
SOURCES = Path(__file__).parent
OBJECTS = SOURCES.parent / "src/kmemscope/observe/bpf/objects"
ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(0)|\n)")


def run(*command: str) -> bytes:
    """Run a build step and return what it prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def check_bpftool() -> None:
    """Refuse any bpftool but the one whose skeletons the loader was written for."""
    said = run("bpftool", "version").decode()
    if BPFTOOL not in said or LIBBPF not in said:
        sys.exit(f"bpftool {BPFTOOL} with libbpf {LIBBPF} is needed, this is: {said.strip()}")


def unescape(found: re.Match[bytes]) -> bytes:
    """Give the byte that one escape of the skeleton's C strings stands for; a continued line stands for none."""
    if found[1]:
        return bytes.fromhex(found[1].decode())
    return b"\0" if found[2] else b""


def literal(header: bytes, name: str) -> bytes:
    """Decode the C string that the skeleton assigns to `opts.<name>`."""
    size = re.search(rb"opts\.%s_sz = (\d+);" % name.encode(), header)
    text = re.search(rb'opts\.%s = \(void \*\)"(.*?)";' % name.encode(), header, re.DOTALL)
    if not size or not text:
        sys.exit(f"bpftool's skeleton has no opts.{name}: its format changed")
    plain = ESCAPE.sub(unescape, text[1])
    if len(plain) != int(size[1]):
        sys.exit(f"opts.{name} decodes to {len(plain)} bytes instead of {int(size[1])}")
    return plain


def build(source: Path, into: Path) -> None:
    """Write <name>.bin (data, then instructions) and <name>.json (what is in it) for one source file."""
    name = source.name.removesuffix(".bpf.c")
    with tempfile.TemporaryDirectory() as scratch:
        compiled, stripped = f"{scratch}/{name}.o", f"{scratch}/{name}.bpf.o"
        include = f"-I/usr/include/{platform.machine()}-linux-gnu"
        run("clang", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu=v3", include, f"-I{SOURCES}",
            "-c", str(source), "-o", compiled)  # fmt: skip
        run("bpftool", "gen", "object", stripped, compiled)
        header = run("bpftool", "gen", "skeleton", "-L", stripped)
    data, instructions = literal(header, "data"), literal(header, "insns")
    description = {
        "format": FORMAT,
        "bpftool": BPFTOOL,
        "maps": re.findall(r"struct bpf_map_desc (\w+);", header.decode()),
        "programs": re.findall(r"struct bpf_prog_desc (\w+);", header.decode()),
        "data_bytes": len(data),
        "instruction_bytes": len(instructions),
        "sha256": hashlib.sha256(data + instructions).hexdigest(),
    }
    into.mkdir(parents=True, exist_ok=True)
    (into / f"{name}.bin").write_bytes(data + instructions)
    (into / f"{name}.json").write_text(json.dumps(description, indent=2) + "\n")
    print(f"{name}: {len(data)} bytes of data, {len(instructions) // 8} instructions of loader", file=sys.stderr)


def main(sources: Path = SOURCES, into: Path = OBJECTS) -> None:
    """Build every program of a folder; without arguments those of the wheel."""
    check_bpftool()
    for source in sorted(sources.glob("*.bpf.c")):
        build(source, into)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
