"""Debian packages into a cache folder: all that the matrix takes from the distribution; installs nothing.

Has its own state of apt, so neither the machine's lists nor its installed packages matter or change; the
machine's settings (proxy, mirror) are kept, as apt reads them before ours. Mirrors are those of the
machine's own sources: `apt-get update --print-uris` names them whether or not they were ever read, and
fetches nothing.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tests.kernels.targets import KernelPackage, NoSuchKernelError, read_listing

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
INDEX_LIVES_SECONDS = 24 * 3600
# The guest's Python and all libraries come from here, so that one release fits together.
RELEASE = "bookworm"
_SUITES = ("bookworm", "bookworm-backports", "trixie", "trixie-backports", "sid")
_SECURITY_SUITES = ("bullseye-security",)
_KERNEL_NAMES = "^linux-(image|binary)-[0-9].*-cloud-amd64$"


class PackagesError(Exception):
    """A package, an index or a mirror could not be had; the message holds what apt said."""


class Packages:
    """The cache folder and the private apt that fills it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._apt = self.folder / "apt"
        self._read = self._apt / "read"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder; wait for one that is under way."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def refresh(self, *, anew: bool = False) -> str:
        """Read the mirrors' indexes unless that was done today; a remark when old ones must do."""
        if not anew and self._read.exists() and time.time() - self._read.stat().st_mtime < INDEX_LIVES_SECONDS:
            return ""
        self._configure()
        try:
            self._run("apt-get", "-q", "update", "--error-on=any")
        except PackagesError as error:
            # One suite that is late or gone must not take the others' kernels away.
            if not any((self._apt / "lists").glob("*_Packages*")):
                raise
            return f"not every package index could be read, what is there is used: {error}"
        self._read.touch()
        return ""

    def kernels(self) -> list[KernelPackage]:
        """Every cloud kernel in the index."""
        found = self._run("apt-cache", "search", "--names-only", _KERNEL_NAMES)
        names = [line.split()[0] for line in found.splitlines() if line.strip()]
        if not names:
            raise NoSuchKernelError("the package index holds no cloud kernel at all")
        return read_listing(self._run("apt-cache", "madison", *names))

    def vmlinuz(self, kernel: KernelPackage) -> Path:
        """The kernel's image, out of its package; modules are not kept."""
        image = self.folder / "vmlinuz" / f"{kernel.package}_{kernel.version}"
        if not image.exists():
            with self._scratch() as scratch:
                self._run("apt-get", "-q", "download", f"{kernel.package}={kernel.version}", folder=scratch)
                taken = _image(next(scratch.glob("*.deb")), scratch / "vmlinuz")
                image.parent.mkdir(exist_ok=True)
                taken.replace(image)
        return image

    def unpacked(self, name: str, packages: Sequence[str]) -> Path:
        """A folder with the packages and all that they depend on, as if they were installed below it."""
        folder, made_of = self.folder / name, self.folder / name / ".made-of"
        if _newer(made_of, self._read):
            return folder
        wanted = self._run("apt-get", "-q", "install", "--yes", "--print-uris", *packages)
        files = "".join(f"{line.split()[1]}\n" for line in wanted.splitlines() if line.startswith("'"))
        if not made_of.exists() or made_of.read_text() != files:
            self._unpack(folder, packages)
        made_of.write_text(files)
        return folder

    def _unpack(self, folder: Path, packages: Sequence[str]) -> None:
        with self._scratch() as scratch:
            (scratch / "archives" / "partial").mkdir(parents=True)
            place = ("-o", f"Dir::Cache::archives={scratch}/archives")
            self._run("apt-get", "-q", "install", "--yes", "--download-only", *place, *packages)
            for archive in sorted((scratch / "archives").glob("*.deb")):
                _run(["dpkg-deb", "-x", str(archive), str(scratch / "root")], scratch)
            shutil.rmtree(folder, ignore_errors=True)
            (scratch / "root").rename(folder)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        scratch = self.folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _configure(self) -> None:
        for folder in ("lists/partial", "archives/partial"):
            (self._apt / folder).mkdir(parents=True, exist_ok=True)
        (self._apt / "status").touch()
        (self._apt / "sources.list").write_text(sources(_run(["apt-get", "update", "--print-uris"], self._apt)))
        (self._apt / "apt.conf").write_text(
            f"""
Dir::State "{self._apt}"; Dir::State::lists "{self._apt}/lists"; Dir::State::status "{self._apt}/status";
Dir::Cache "{self._apt}"; Dir::Cache::archives "{self._apt}/archives"; Dir::Cache::pkgcache "pkgcache.bin";
Dir::Etc::sourcelist "{self._apt}/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
APT::Default-Release "{RELEASE}"; APT::Install-Recommends "false"; APT::Sandbox::User "root";
APT::Architecture "amd64"; APT::Architectures {{ "amd64"; }}; Acquire::Languages "none"; Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""
        )

    def _run(self, program: str, *arguments: str, folder: Path | None = None) -> str:
        return _run([program, "-c", str(self._apt / "apt.conf"), *arguments], folder or self._apt)


def sources(uris: str) -> str:
    """Our sources.list from what `apt-get update --print-uris` says about the machine's own."""
    seen = re.findall(r"^'(\S+?)/dists/(\S+?)/(?:In)?Release(?:\.gpg)?' ", uris, re.MULTILINE)
    main = next((base for base, suite in seen if suite in _SUITES or f"{suite}-backports" in _SUITES), None)
    security = next((base for base, suite in seen if suite.endswith("-security")), None)
    if main is None:
        raise PackagesError(
            "no Debian mirror is among the machine's apt sources (12, 13 or sid): the kernels come from there"
        )
    if security is None:
        security = f"{main.rstrip('/')}-security"
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    lines = [f"deb {signed}{main} {suite} main" for suite in _SUITES]
    lines += [f"deb {signed}{security} {suite} main" for suite in _SECURITY_SUITES]
    return "\n".join(lines) + "\n"


def _newer(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.stat().st_mtime > other.stat().st_mtime


def _image(archive: Path, output: Path) -> Path:
    # Read as a stream, because the modules beside the image unpack to hundreds of megabytes.
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as tar,
    ):
        for entry in tar:
            # boot/vmlinuz-RELEASE, from 7.1 usr/lib/modules/RELEASE/vmlinuz
            content = tar.extractfile(entry) if PurePosixPath(entry.name).name.startswith("vmlinuz") else None
            if content:
                with output.open("wb") as file:
                    shutil.copyfileobj(content, file)
                process.kill()
                return output
    raise PackagesError(f"{archive.name} holds no kernel image")


def _run(command: Iterable[str], folder: Path) -> str:
    words = list(command)
    done = subprocess.run(
        words,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = " / ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])
        raise PackagesError(f"`{' '.join(words[:1] + words[3:6])} …` failed ({done.returncode}): {last}")
    return done.stdout
