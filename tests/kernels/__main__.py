"""Boot the kernels of the matrix, run the system tests in each guest from the wheel, say how it went."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.kernels import boot, console, guest_root, summary
from tests.kernels.packages import Packages, PackagesError
from tests.kernels.targets import TARGETS, Choice, NoSuchKernelError, Target, choose, target

PROJECT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 when every kernel's tests passed, 1 when any failed, 2 when nothing could be tried."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    packages = Packages(options.cache)
    try:
        targets = [target(name) for name in options.targets or [each.name for each in TARGETS]]
        wheel = options.wheel or _newest_wheel(options.project)
        with packages.locked():
            return _run(packages, targets, wheel, options)
    except (PackagesError, NoSuchKernelError, guest_root.GuestRootError) as error:
        print(f"kernels: {error}", file=sys.stderr)
        return 2


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tests.kernels", description=__doc__)
    names = " ".join(each.name for each in TARGETS)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {names} (default: all), or any series")
    parser.add_argument("--wheel", type=Path, help="what to test (default: the newest in dist/)")
    parser.add_argument("--project", type=Path, default=PROJECT, help="where tests/ and pyproject.toml are")
    parser.add_argument("--cache", type=Path, default=PROJECT / ".cache/kernels", help="downloads, archives and logs")
    parser.add_argument(
        "--limit", type=float, default=1800, metavar="SECONDS", help="for one guest (default: %(default)s)"
    )
    parser.add_argument("--pytest", action="append", default=[], metavar="ARGUMENT", help="passed on, e.g. --pytest=-x")
    parser.add_argument("--verbose", action="store_true", help="say what is being done and how long it took")
    return parser.parse_args(arguments)


def _run(packages: Packages, targets: Sequence[Target], wheel: Path, options: argparse.Namespace) -> int:
    start = time.monotonic()

    def note(text: str) -> None:
        if options.verbose:
            print(f"[{time.monotonic() - start:6.1f} s] {text}", flush=True)

    kernels = _kernels(packages, targets)
    note("the kernels are there")
    emulator = boot.Emulator(packages.unpacked("qemu", boot.DEBIAN_PACKAGES))
    note("QEMU is there")
    guest_packages = packages.unpacked("guest-packages", guest_root.DEBIAN_PACKAGES)
    root = guest_root.GuestRoot(packages.folder, guest_packages)
    # Verbose, so that the log of a guest that hangs or dies names the test that it was in.
    initramfs = root.make(options.project, wheel, ["tests/system", "-v", "--durations=10", *options.pytest])
    note(f"the guest's root is made, {initramfs.stat().st_size >> 20} MiB, with {wheel.name}")
    columns: dict[str, tuple[dict[str, Any], ...]] = {}
    all_good = True
    for each, (choice, vmlinuz) in zip(targets, kernels, strict=True):
        _warn(choice.remark)
        log = packages.folder / "logs" / f"{each.name}.log"
        ending, report = _boot(emulator, vmlinuz, initramfs, each, log, options.limit)
        columns[each.name] = report.coverage
        line = summary.result_line(each.name, report.release, each.cgroup, report.counts, ending.seconds)
        print(line, flush=True)
        note(f"up after {report.booted_after} s of its own clock, pytest after {report.pytest_after} s")
        if ending.ended or not report.good:
            all_good = False
            _explain(choice, ending, report, log)
    table = summary.coverage_table(columns)
    if table:
        print(f"\n{table}")
    note("done")
    return 0 if all_good else 1


def _kernels(packages: Packages, targets: Sequence[Target]) -> list[tuple[Choice, Path]]:
    def kernels() -> list[tuple[Choice, Path]]:
        index = packages.kernels()
        choices = [choose(each, index) for each in targets]
        return [(choice, packages.vmlinuz(choice.kernel)) for choice in choices]

    _warn(packages.refresh())
    try:
        return kernels()
    except PackagesError:
        # A security update may have taken away, since the index was read, what it names.
        _warn(packages.refresh(anew=True))
        return kernels()


def _boot(
    emulator: boot.Emulator, vmlinuz: Path, initramfs: Path, each: Target, log: Path, limit: float
) -> tuple[boot.Ending, console.GuestReport]:
    for last_try in (False, True):
        ending = emulator.boot(vmlinuz, initramfs, each.cgroup, log, limit)
        report = console.read(ending.console)
        # Only a boot that never reached us is worth a second try; a test that failed has spoken.
        if report.booted or last_try:
            break
        _warn(f"{each.name} did not come up ({ending.ended or 'it ended by itself'}), once more")
    return ending, report


def _explain(choice: Choice, ending: boot.Ending, report: console.GuestReport, log: Path) -> None:
    reasons = [
        (not report.booted, f"{choice.kernel.release} never reached the first process"),
        (bool(ending.ended), ending.ended),
        (
            report.booted and report.status is None and not ending.ended,
            "it went down before the tests ended",
        ),
        (report.status == 5, "pytest found no test"),
        (report.status not in (None, 0, 5), f"pytest ended with status {report.status}"),
        (report.status == 0 and not report.counts.get("passed"), "not one test ran"),
        (bool(report.damaged), f"{report.damaged} lines of coverage were lost on the console"),
        (bool(report.complaints), f"the kernel complained {report.complaints} times in its own log"),
    ]
    print(f"  failed: {'; '.join(reason for applies, reason in reasons if applies)}")
    print(f"  the console is in {log}; it says:")
    for line in console.telling_lines(ending.console):
        print(f"    {line}")
    sys.stdout.flush()


def _newest_wheel(project: Path) -> Path:
    wheels = sorted((project / "dist").glob("kmemscope-*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        raise guest_root.GuestRootError(
            "there is no wheel in dist/: build one first (make build), or name one with --wheel"
        )
    return wheels[-1]


def _warn(text: str) -> None:
    if text:
        print(f"kernels: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
