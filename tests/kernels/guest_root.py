"""The guests' first root: what is in it, and the archives it is made of.

Two archives, one behind the other: the base (busybox, Debian's Python, pytest), packed once for its
packages, and the project (the wheel, its tests), packed for each run. Python files are compiled beforehand
with the guest's own Python, because compiling costs an emulated processor many seconds; it runs on the host
through its own loader, so the host's Python may be any.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tests.kernels import cpio

DEBIAN_PACKAGES = ("python3.11", "busybox-static")
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_SITE = Path("usr/lib/python3/dist-packages")
_UNUSED = (
    "config-3*",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
)
_FOLDERS = ("dev", "etc", "mnt", "proc", "project", "root", "run", "sys", "tmp", "var")
_MERGED = ("bin", "sbin", "lib", "lib64")
_WHEELS = ("pytest", "pytest-timeout")
_TESTS_LEFT_OUT = ("__pycache__", "captures", "kernels")


class GuestRootError(Exception):
    """The root cannot be made; the message says what is missing."""


class GuestRoot:
    """Makes the archives in a cache folder out of unpacked Debian packages."""

    def __init__(self, cache: Path, packages: Path) -> None:
        self._cache = cache.resolve()
        self._packages = packages.resolve()

    def make(self, project: Path, wheel: Path, pytest_arguments: Sequence[str]) -> Path:
        """The initramfs that runs the tests of `project` against `wheel`."""
        base, initramfs = self._base(project), self._cache / "initramfs"
        stage = self._emptied("stage-project")
        _unzip(wheel, stage / _SITE)
        _commands(stage)
        shutil.copytree(project / "tests", stage / "project/tests", ignore=shutil.ignore_patterns(*_TESTS_LEFT_OUT))
        shutil.copy(project / "pyproject.toml", stage / "project")
        (stage / "project/pytest-arguments").write_text("".join(f"{argument}\n" for argument in pytest_arguments))
        shutil.copy(Path(__file__).with_name("guest_init"), stage / "init")
        (stage / "init").chmod(0o755)
        self._compile(stage)
        with initramfs.open("wb") as output:
            with base.open("rb") as packed:
                shutil.copyfileobj(packed, output)
            cpio.pack(stage, output)
        return initramfs

    def _base(self, project: Path) -> Path:
        wheels = self._wheels(project)
        parts = [
            (self._packages / ".made-of").read_text(),
            Path(__file__).read_text(),
            Path(cpio.__file__).read_text(),
        ]
        key = hashlib.sha256("\n".join([*parts, *(wheel.name for wheel in wheels)]).encode()).hexdigest()[:16]
        base = self._cache / f"base-{key}.cpio"
        if base.exists():
            return base
        stage = self._emptied("stage-base")
        self._system(stage)
        for wheel in wheels:
            _unzip(wheel, stage / _SITE)
        self._compile(stage)
        for old in self._cache.glob("base-*.cpio*"):
            old.unlink()
        unfinished = base.with_suffix(".cpio.new")
        with unfinished.open("wb") as output:
            cpio.pack(stage, output)
            # The kernel opens it for the first process before anything is mounted.
            cpio.pack_device(output, "dev/console", 5, 1)
        shutil.rmtree(stage)
        return unfinished.rename(base)

    def _system(self, stage: Path) -> None:
        for folder in _FOLDERS:
            (stage / folder).mkdir()
        for name in _MERGED:
            (stage / "usr" / name).mkdir(parents=True)
            (stage / name).symlink_to(f"usr/{name}")
        (stage / _LIBRARIES).mkdir()
        for folder in ("lib/x86_64-linux-gnu", _LIBRARIES):
            for library in (self._packages / folder).glob("*.so*"):
                shutil.copy(library, stage / _LIBRARIES, follow_symlinks=False)
        shutil.copy(self._loader(), stage / "usr/lib64")
        shutil.copytree(
            self._packages / "usr/lib/python3.11",
            stage / "usr/lib/python3.11",
            symlinks=True,
            ignore=shutil.ignore_patterns(*_UNUSED),
        )
        shutil.copy(self._packages / "usr/bin/python3.11", stage / "usr/bin")
        for name in ("python3", "python"):
            (stage / "usr/bin" / name).symlink_to("python3.11")
        busybox = next(path for folder in ("bin", "usr/bin") if (path := self._packages / folder / "busybox").exists())
        shutil.copy(busybox, stage / "usr/bin")
        applets = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True).stdout.split()
        for applet in applets:
            if not (stage / "usr/bin" / applet).exists():
                (stage / "usr/bin" / applet).symlink_to("busybox")
        (stage / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        (stage / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
        (stage / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")

    def _loader(self) -> Path:
        # A link to the library folder in the package; its own place differs between Debian's releases.
        for folder in ("lib/x86_64-linux-gnu", _LIBRARIES):
            loader = self._packages / folder / "ld-linux-x86-64.so.2"
            if loader.exists():
                return loader
        raise GuestRootError(f"no dynamic loader among the Debian packages in {self._packages}: remove that folder")

    def _compile(self, stage: Path) -> None:
        libraries = f"{self._packages}/lib/x86_64-linux-gnu:{self._packages}/{_LIBRARIES}"
        python = [
            str(self._loader()),
            "--library-path",
            libraries,
            str(self._packages / "usr/bin/python3.11"),
            "-S",
        ]
        compiler = [
            "-m",
            "compileall",
            "-q",
            "--invalidation-mode",
            "unchecked-hash",
            "-s",
            str(stage),
            "-p",
            "/",
        ]
        done = subprocess.run(
            [*python, *compiler, str(stage / "usr/lib")],
            env={"PYTHONHOME": str(self._packages / "usr"), "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        # Status 1 tells of single files, which the guest will then compile or refuse by itself.
        if done.returncode not in (0, 1) or done.stderr:
            raise GuestRootError(f"the guest's Python does not run on this host: {done.stderr.strip()[-500:]}")

    def _wheels(self, project: Path) -> list[Path]:
        wanted = _requirements(project)
        folder = self._cache / "wheels" / hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]
        if not folder.exists():
            new = self._emptied("wheels.new")
            pip = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--disable-pip-version-check",
                "--only-binary=:all:",
            ]
            place = [
                "--python-version",
                "3.11",
                "--platform",
                "any",
                "--implementation",
                "py",
                "--abi",
                "none",
            ]
            done = subprocess.run(
                [*pip, *place, "--dest", str(new), *wanted], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise GuestRootError(f"pip could not download {', '.join(wanted)}: {done.stderr.strip()[-500:]}")
            folder.parent.mkdir(exist_ok=True)
            new.rename(folder)
        return sorted(folder.glob("*.whl"))

    def _emptied(self, name: str) -> Path:
        folder = self._cache / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def _requirements(project: Path) -> list[str]:
    """The versions installed here, so that host and guests agree; else what pyproject.toml allows."""
    allowed = tomllib.loads((project / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    wanted = []
    for name in _WHEELS:
        try:
            wanted.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            wanted += [line for line in allowed if line.startswith(name) and line[len(name)] in "<>=~! ["]
    return wanted


def _unzip(wheel: Path, site: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


def _commands(stage: Path) -> None:
    # What pip would write for each console script of the wheel.
    folder = stage / "usr/bin"
    folder.mkdir(parents=True)
    for entry in importlib.metadata.distributions(path=[str(stage / _SITE)]):
        for script in entry.entry_points.select(group="console_scripts"):
            command = folder / script.name
            command.write_text(
                "#!/usr/bin/python3\nimport sys\n"
                f"from {script.module} import {script.attr}\nsys.exit({script.attr}())\n"
            )
            command.chmod(0o755)
