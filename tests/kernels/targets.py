"""Which kernels the matrix names, and which Debian package is each of them today.

A package's name carries its ABI and so changes with every security update; therefore a target is a series
("6.12"), and the package is looked up in the listing of `apt-cache madison`. This module only reads such
listings; it downloads nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

NEWEST = "newest"

# From 6.19 the kernel proper is in linux-binary-*, and linux-image-* of the same release only depends on it.
_NAME = re.compile(r"linux-(?P<kind>image|binary)-(?P<release>[0-9][^\s|]*-cloud-amd64)")
_VERSION = re.compile(r"(?:[0-9]+:)?(?P<numbers>[0-9]+(?:\.[0-9]+)+)(?P<candidate>~rc[0-9]+)?")


class NoSuchKernelError(Exception):
    """The package index holds no kernel that can stand for a target, or the target's name is unknown."""


@dataclass(frozen=True)
class Target:
    """One column of the matrix: a series of kernels and the cgroup version to boot it with."""

    name: str
    series: tuple[int, int] | None
    """None: the newest that there is."""
    suites: tuple[str, ...]
    """Where to look first; any other suite stands in when these hold nothing."""
    cgroup: int = 2


@dataclass(frozen=True)
class KernelPackage:
    """One cloud kernel in the index."""

    package: str
    version: str
    release: str
    """What `uname -r` will say."""
    suite: str
    upstream: tuple[int, ...]
    """The upstream version; a release candidate sorts below its release, as it ends in a negative number."""

    @property
    def series(self) -> tuple[int, int]:
        """The first two numbers of the upstream version."""
        return self.upstream[0], self.upstream[1]


@dataclass(frozen=True)
class Choice:
    """The kernel that stands for a target, and a sentence when it is not of the series that was asked for."""

    kernel: KernelPackage
    remark: str = ""


TARGETS = (
    Target("6.1", (6, 1), ("bookworm",)),
    Target("6.1-v1", (6, 1), ("bookworm",), cgroup=1),
    Target("6.12", (6, 12), ("trixie",)),
    Target("6.18", (6, 18), ("trixie-backports",)),
    Target(NEWEST, None, ("sid", "trixie-backports")),
    Target("5.10", (5, 10), ("bullseye-security",)),
)


def target(name: str) -> Target:
    """The target of that name; any other series ("7.1", "6.16") is one too, from whichever suite has it."""
    for known in TARGETS:
        if known.name == name:
            return known
    plain = re.fullmatch(r"(?P<major>[0-9]{1,3})\.(?P<minor>[0-9]{1,3})(?P<v1>-v1)?", name)
    if not plain:
        names = " ".join(each.name for each in TARGETS)
        raise NoSuchKernelError(
            f"{name!r} is no kernel of the matrix: give one of {names}, or another series such as 7.1"
        )
    return Target(name, (int(plain["major"]), int(plain["minor"])), (), cgroup=1 if plain["v1"] else 2)


def read_listing(listing: str) -> list[KernelPackage]:
    """The cloud kernels in the output of `apt-cache madison`; lines about anything else are passed over."""
    kernels = []
    for line in listing.splitlines():
        columns = [column.strip() for column in line.split("|")]
        if len(columns) != 3:
            continue
        package, version, origin = columns
        name, number = _NAME.fullmatch(package), _VERSION.match(version)
        suite = re.search(r"\s(?P<suite>[\w.-]+)/\S+ \S+ Packages$", origin)
        if name and number and suite:
            kernels.append(KernelPackage(package, version, name["release"], suite["suite"], _upstream(number)))
    return kernels


def choose(wanted: Target, kernels: Iterable[KernelPackage]) -> Choice:
    """The highest of the series in its suites, else in any, else of the nearest series, saying so."""
    everything = sorted(
        kernels, key=lambda each: (each.upstream, each.release, each.package.startswith("linux-image-"))
    )
    if not everything:
        raise NoSuchKernelError("the package index holds no cloud kernel at all")
    at_home = [each for each in everything if each.suite in wanted.suites]
    if wanted.series is None:
        return Choice(_best(at_home or everything))
    for candidates in (at_home, everything):
        of_the_series = [each for each in candidates if each.series == wanted.series]
        if of_the_series:
            return Choice(_best(of_the_series))
    # Newer rather than older: the older one is most likely another column of the matrix already.
    above = [each.series for each in everything if each.series > wanted.series]
    nearest = min(above) if above else everything[-1].series
    best = _best([each for each in everything if each.series == nearest])
    series = ".".join(map(str, wanted.series))
    return Choice(best, f"the index has no {series}: {best.release} stands in for it")


def _best(kernels: list[KernelPackage]) -> KernelPackage:
    highest = kernels[-1]
    twins = [each for each in kernels if (each.release, each.version) == (highest.release, highest.version)]
    return next((each for each in twins if each.package.startswith("linux-binary-")), highest)


def _upstream(version: re.Match[str]) -> tuple[int, ...]:
    numbers = tuple(int(number) for number in version["numbers"].split("."))
    if version["candidate"]:
        return (*numbers, int(version["candidate"].removeprefix("~rc")) - 1000)
    return numbers if len(numbers) > 2 else (*numbers, 0)
