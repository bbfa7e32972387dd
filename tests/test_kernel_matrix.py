"""The kernel matrix: reading listings, mirrors, consoles; writing tables and archives. Boots nothing."""

from __future__ import annotations

import io
import shutil
import subprocess

import pytest

from tests.kernels import console, cpio, summary
from tests.kernels.packages import PackagesError, sources
from tests.kernels.targets import TARGETS, NoSuchKernelError, choose, read_listing, target

MIRROR = "http://mirror.example/debian"


def listing(*rows):
    return "\n".join(f" {name} | {version} | {MIRROR} {suite}/main amd64 Packages" for name, version, suite in rows)


INDEX = listing(
    ("linux-image-5.10.0-9-cloud-amd64", "5.10.70-1", "bullseye-security"),
    ("linux-image-5.10.0-46-cloud-amd64", "5.10.262-1", "bullseye-security"),
    ("linux-image-6.1.0-0.deb11.52-cloud-amd64", "6.1.180-1~deb11u1", "bullseye-security"),
    ("linux-image-6.1.0-47-cloud-amd64", "6.1.170-3", "bookworm"),
    ("linux-image-6.1.0-50-cloud-amd64", "6.1.176-1", "bookworm"),
    ("linux-image-6.12.95+deb12-cloud-amd64", "6.12.95-1~bpo12+1", "bookworm-backports"),
    ("linux-image-6.12.107+deb13-cloud-amd64", "6.12.107-1", "trixie"),
    ("linux-image-6.12.57+deb13-cloud-amd64", "6.12.57-1", "trixie"),
    ("linux-image-6.18.9+deb13-cloud-amd64", "6.18.9-1~bpo13+1", "trixie-backports"),
    ("linux-image-6.18.15+deb13-cloud-amd64", "6.18.15-1~bpo13+1", "trixie-backports"),
    ("linux-binary-7.1.13+deb13-cloud-amd64", "7.1.13-1~bpo13+1", "trixie-backports"),
    ("linux-image-7.1.13+deb13-cloud-amd64", "7.1.13-1~bpo13+1", "trixie-backports"),
    ("linux-image-7.2.13+deb14-cloud-amd64", "7.2.13-1", "sid"),
    ("linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1", "sid"),
)


def chosen(name, index=INDEX):
    return choose(target(name), read_listing(index))


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("5.10", "linux-image-5.10.0-46-cloud-amd64"),
        ("6.1", "linux-image-6.1.0-50-cloud-amd64"),
        ("6.1-v1", "linux-image-6.1.0-50-cloud-amd64"),
        ("6.12", "linux-image-6.12.107+deb13-cloud-amd64"),
        ("6.18", "linux-image-6.18.15+deb13-cloud-amd64"),
        ("newest", "linux-binary-7.2.13+deb14-cloud-amd64"),
        ("7.1", "linux-binary-7.1.13+deb13-cloud-amd64"),
    ],
)
def test_a_target_is_the_highest_package_of_its_series(name, package):
    choice = chosen(name)
    assert choice.kernel.package == package
    assert not choice.remark


def test_numbers_are_compared_as_numbers_and_a_candidate_is_less_than_its_release():
    rows = [
        ("linux-binary-7.3~rc10-cloud-amd64", "7.3~rc10-1~exp1", "sid"),
        ("linux-binary-7.3~rc9-cloud-amd64", "7.3~rc9-1~exp1", "sid"),
    ]
    assert chosen("newest", listing(*rows)).kernel.version == "7.3~rc10-1~exp1"
    rows.append(("linux-binary-7.3+deb14-cloud-amd64", "7.3-1", "sid"))
    assert chosen("newest", listing(*rows)).kernel.version == "7.3-1"


def test_another_suite_stands_in_before_another_series():
    without_trixie = "\n".join(line for line in INDEX.splitlines() if " trixie/" not in line)
    assert chosen("6.12", without_trixie).kernel.release == "6.12.95+deb12-cloud-amd64"
    without_618 = "\n".join(line for line in INDEX.splitlines() if "-6.18" not in line)
    choice = chosen("6.18", without_618)
    assert choice.kernel.package == "linux-binary-7.1.13+deb13-cloud-amd64"
    assert "no 6.18:" in choice.remark
    assert choice.kernel.release in choice.remark
    assert chosen("9.0").kernel.release == "7.2.13+deb14-cloud-amd64"


def test_what_is_no_cloud_kernel_is_passed_over():
    noise = listing(
        ("linux-image-6.1.0-99-amd64", "6.1.999-1", "bookworm"),
        ("linux-image-6.1.0-99-cloud-amd64-unsigned", "6.1.999-1", "bookworm"),
        ("linux-image-cloud-amd64", "6.1.999-1", "bookworm"),
        ("linux-image-6.1-cloud-amd64", "not a version", "bookworm"),
    )
    garbage = "N: Unable to locate package\n||\n | | \nlinux-image-6.1.0-98-cloud-amd64 | 6.1.998-1 | \x00\n"
    assert read_listing(noise + "\n" + garbage) == []
    assert chosen("6.1", f"{noise}\n{garbage}\n{INDEX}").kernel.version == "6.1.176-1"


def test_a_name_that_means_nothing_says_what_would():
    with pytest.raises(NoSuchKernelError, match=r"6\.12"):
        target("latest")
    with pytest.raises(NoSuchKernelError, match="no cloud kernel"):
        choose(TARGETS[0], [])
    assert target("7.1-v1").cgroup == 1


URIS = f"""\
'{MIRROR}/dists/bookworm/InRelease' mirror.example_debian_dists_bookworm_InRelease 0
'{MIRROR}/dists/bookworm-updates/InRelease' mirror.example_debian_dists_bookworm-updates_InRelease 0
'http://other.example/sec/dists/bookworm-security/InRelease' a_name 0
'{MIRROR}/dists/bookworm/main/binary-amd64/Packages.xz' mirror.example_debian_dists_bookworm_main 0
"""


def test_mirrors_are_those_of_the_machine():
    lines = sources(URIS).splitlines()
    assert any(line.endswith(f"{MIRROR} trixie-backports main") for line in lines)
    assert any(line.endswith("http://other.example/sec bullseye-security main") for line in lines)
    alone = sources(URIS.replace("bookworm-security", "elsewhere"))
    assert f"{MIRROR}-security bullseye-security main" in alone
    with pytest.raises(PackagesError, match="no Debian mirror"):
        sources("'http://mirror.example/vendor/dists/stable/InRelease' x 0\n")


GOOD = """\
[    0.512345] a word of the kernel
\x1b[2J
KMEMSCOPE-GUEST booted release=6.12.107+deb13-cloud-amd64 cgroup=2 up=2.67

KMEMSCOPE-GUEST pytest up=2.70
....s                                                                    [100%]
SKIPPED [1] tests/system/test_x.py:3: no \x1b]0;title\x07reason
4 passed, 1 skipped in 3.21s

KMEMSCOPE-GUEST coverage lines=2 up=7.10
{"workload": "pipes", "coverage": 0.9996}
{"workload": "threads", "coverage": 1.0}

KMEMSCOPE-GUEST done complaints=0 up=7.20
GUEST-RC=0
[    7.300000] reboot: Power down
""".replace("\n", "\r\n")


def test_a_console_that_is_whole():
    report = console.read(GOOD)
    assert report.good
    assert (report.release, report.booted_after, report.pytest_after) == (
        "6.12.107+deb13-cloud-amd64",
        2.67,
        2.70,
    )
    assert report.counts == {"passed": 4, "skipped": 1}
    assert [record["workload"] for record in report.coverage] == ["pipes", "threads"]


@pytest.mark.parametrize("share", [step / 40 for step in range(40)])
def test_a_console_cut_off_anywhere_is_never_good(share):
    assert not console.read(GOOD[: int(share * GOOD.index("GUEST-RC=0"))]).good


def test_lines_of_coverage_that_do_not_arrive_are_counted():
    torn = GOOD.replace('"coverage": 0.9996}', '"cove[    7.1] oops')
    report = console.read(torn)
    assert (report.damaged, len(report.coverage), report.good) == (1, 1, False)
    between = GOOD.replace('{"workload": "threads"', '[    7.1] a kernel word\r\n[1, 2]\r\n{"workload": "threads"')
    assert console.read(between).good


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("GUEST-RC=0", "GUEST-RC=1"),
        ("GUEST-RC=0", "GUEST-RC=5"),
        ("complaints=0", "complaints=2"),
        ("4 passed, 1 skipped", "1 skipped"),
        ("4 passed, 1 skipped in 3.21s", "no tests ran in 0.01s"),
        ("GUEST-RC=0", "Kernel panic - not syncing"),
        ("KMEMSCOPE-GUEST done complaints=0 up=7.20", "GUEST-RC=0"),
    ],
)
def test_a_guest_that_did_not_do_well(old, new):
    assert old in GOOD
    assert not console.read(GOOD.replace(old, new)).good


def test_a_test_cannot_pass_itself_off_as_the_end():
    early = GOOD.replace("....s", "GUEST-RC=0\r\n5 passed in 1.0s\r\n....s").replace(
        "GUEST-RC=0\r\n[", "GUEST-RC=1\r\n["
    )
    report = console.read(early)
    assert report.status == 1
    assert report.counts == {"passed": 4, "skipped": 1}


@pytest.mark.parametrize(
    "noise", ["", "\x00\xff\x1b[", "KMEMSCOPE-GUEST\n", "KMEMSCOPE-GUEST done complaints=² up=x\n"]
)
def test_noise_is_no_report(noise):
    report = console.read(noise * 50)
    assert not report.good
    assert not report.booted


def test_counts_of_a_run_with_everything_in_it():
    line = "== 1 failed, 2 passed, 1 error, 3 warnings in 61.00s (0:01:01) ==\n"
    assert console.read(line).counts == {"failed": 1, "passed": 2, "errors": 1, "warnings": 3}


def test_nothing_steers_the_terminal():
    shown = console.telling_lines("a\x1b[31mred\x1b[0m\x07\r\n\r\n\x9b2Jb\x1b]0;t\x1b\\c\x08\n" + "x" * 500)
    assert shown[:2] == ["ared", "2Jbc"]
    assert len(shown[2]) == 200
    assert all(line.isprintable() for line in shown)


def test_the_reason_is_shown_rather_than_the_end():
    text = "E   assert 1 == 2\nFAILED tests/system/test_x.py::test_y - assert 1 == 2\n" + "x\n" * 99
    warning = "[    7.1] WARNING: CPU: 0 PID: 1 at mm/slub.c:1\n"
    assert console.telling_lines(text + warning * 2) == [
        "FAILED tests/system/test_x.py::test_y - assert 1 == 2",
        warning.strip(),
    ]
    assert len(console.telling_lines(text * 50 + warning)) == 20
    assert console.telling_lines("a\nb\n") == ["a", "b"]
    assert console.telling_lines("") == []


def test_the_line_of_a_kernel():
    line = summary.result_line("6.12", "6.12.107+deb13-cloud-amd64", 2, {"passed": 41, "skipped": 2}, 72.6)
    assert line == "6.12 (6.12.107+deb13-cloud-amd64, cgroup v2): 41 passed, 2 skipped in 73 s"
    nothing = summary.result_line("6.1-v1", "", 1, {}, 900)
    assert nothing == "6.1-v1 (did not boot, cgroup v1): no test ran in 900 s"


def test_the_table_of_coverage():
    table = summary.coverage_table(
        {
            "6.1": [{"workload": "pipes", "coverage": 0.99999}, {"workload": "timers", "coverage": None}],
            "newest": [
                {"workload": "pipes", "coverage": 1.0},
                {"workload": "pipes", "coverage": 0.57},
                {"workload": 3, "coverage": 1},
                {"coverage": 1},
                {"workload": "shm", "coverage": float("nan")},
            ],
        }
    )
    assert table.splitlines() == [
        "coverage      6.1   newest",
        "pipes     99.99 %  57.00 %",
        "timers          –        –",
        "shm             –        –",
    ]
    assert summary.coverage_table({"6.1": []}) == ""


@pytest.mark.skipif(not shutil.which("cpio"), reason="needs cpio as the witness")
def test_archives_are_what_cpio_reads(tmp_path):
    source, target_folder = tmp_path / "in", tmp_path / "out"
    (source / "bin").mkdir(parents=True)
    (source / "bin/sh").write_bytes(b"odd")
    (source / "bin/sh").chmod(0o755)
    (source / "empty").touch()
    (source / "link").symlink_to("bin/sh")
    output = io.BytesIO()
    cpio.pack(source, output)
    target_folder.mkdir()
    subprocess.run(["cpio", "-id", "--quiet"], input=output.getvalue(), cwd=target_folder, check=True)
    assert (target_folder / "link").read_bytes() == b"odd"
    assert (target_folder / "bin/sh").stat().st_mode & 0o777 == 0o755
    assert (target_folder / "empty").read_bytes() == b""
