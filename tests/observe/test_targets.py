import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kmemscope.model.errors import KmemscopeError, TargetNotFound, UsageError
from kmemscope.observe.targets import resolve
from tests.observe.fake_host import V1_MOUNTINFO, FakeHost

ID = "4f3a" + "0123456789abcdef" * 3 + "aaaabbbbcccc"
OTHER = "4f3a" + "fedcba9876543210" * 3 + "ddddeeeeffff"


def docker(host: FakeHost, container_id: str, name: str) -> str:
    path = f"/docker/{container_id}"
    host.cgroup(path)
    host.write(f"/var/lib/docker/containers/{container_id}/config.v2.json", f'{{"Name": "/{name}", "Config": {{}}}}')
    return path


def find(host: FakeHost, text: str) -> str:
    return resolve(host.hostfs, host.hierarchy, text)


def refusal(host: FakeHost, text: str) -> TargetNotFound:
    with pytest.raises(TargetNotFound) as caught:
        find(host, text)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "/kubepods/a",
        "kubepods/a",
        "//kubepods//a/",
        "/kubepods/./a",
        "./kubepods/a",
        "{mount}/kubepods/a",
        "{mount}//kubepods/a/",
        "{root}{mount}/kubepods/a",
    ],
)
def test_a_path_in_any_spelling(host: FakeHost, text: str) -> None:
    host.cgroup("/kubepods/a")
    assert find(host, text.format(mount=host.mount, root=host.root)) == "/kubepods/a"


def test_the_root_in_any_spelling(host: FakeHost) -> None:
    assert find(host, "/") == find(host, host.mount) == find(host, host.mount + "/") == "/"


def test_a_path_below_another_mount_of_the_hierarchy(v1: FakeHost) -> None:
    v1.write("/proc/self/mountinfo", V1_MOUNTINFO + "60 1 0:32 /docker/a /mnt rw - cgroup cgroup rw,memory\n")
    v1.write("/mnt/memory.limit_in_bytes", "1\n")
    v1.cgroup("/docker/a/b")
    assert find(v1, "/mnt/b") == "/docker/a/b"
    assert find(v1, "/mnt") == "/docker/a"


def test_of_mounts_within_each_other_the_inner_is_meant(v2: FakeHost) -> None:
    lines = f"30 23 0:26 / {v2.mount} rw - cgroup2 c rw\n31 23 0:26 /docker/a {v2.mount}/mnt rw - cgroup2 c rw\n"
    v2.write("/proc/self/mountinfo", lines)
    v2.write(f"{v2.mount}/mnt/cgroup.controllers", "memory\n")
    v2.cgroup("/docker/a/b")
    v2.cgroup("/mnt/b")
    assert find(v2, f"{v2.mount}/mnt/b") == "/docker/a/b"


@pytest.mark.parametrize(
    "text", ["..", "/..", "../x", "/a/../b", "a/..", "/sys/fs/cgroup/../../../etc", "{mount}/../x"]
)
def test_leading_upwards_is_refused(host: FakeHost, text: str) -> None:
    host.cgroup("/a")
    with pytest.raises(UsageError):
        find(host, text.format(mount=host.mount))


def test_a_link_is_no_cgroup(host: FakeHost) -> None:
    (host.root / host.mount.strip("/") / "link").symlink_to("/proc")
    assert "link" in refusal(host, "/link").what
    refusal(host, "link")


@pytest.mark.parametrize(
    "text",
    [
        "pod:shop/orders",
        "java:com.example.Main",
        "",
        "nul\0",
        "pid:",
        "pid:x",
        "pid:-1",
        "pid:0",
        "pid:1_0",
        "pid:99999999999",
        "pid:١",
    ],
)
def test_what_is_no_target_is_wrong_usage(host: FakeHost, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(host, text)
    assert caught.value.todo


def test_self_and_processes(host: FakeHost) -> None:
    host.cgroup("/a")
    host.process(42, "/a")
    host.write("/proc/self/cgroup", (host.root / "proc/42/cgroup").read_text())
    assert find(host, "pid:42") == find(host, "self") == "/a"
    assert "no process 43" in refusal(host, "pid:43").what


def test_a_process_whose_cgroup_is_gone_or_out_of_sight(host: FakeHost) -> None:
    host.cgroup("/a")
    host.process(42, "/a")
    host.write("/proc/42/cgroup", "4:memory:/b (deleted)\n0::/b (deleted)\n")
    assert "gone" in refusal(host, "pid:42").why


def test_a_container_by_name_and_by_id(host: FakeHost) -> None:
    path = docker(host, ID, "orders")
    host.cgroup(path + "/nested")
    docker(host, OTHER, "billing")
    for text in ("orders", ID, ID[:6], ID[:12]):
        assert find(host, text) == path
    refusal(host, ID[:5])  # too short for an id, and nobody is called so
    refusal(host, "order")
    refusal(host, ID[:12].upper())


def test_a_name_wins_nothing_over_another_of_the_same(host: FakeHost) -> None:
    paths = {docker(host, ID, "orders"), docker(host, OTHER, "orders")}
    error = refusal(host, "orders")
    assert "2 targets" in error.what
    assert all(path in error.why for path in paths)


def test_an_id_prefix_may_be_a_name_or_a_path_too(host: FakeHost) -> None:
    first = docker(host, ID, "orders")
    second = docker(host, OTHER, ID[:6])
    host.cgroup("/" + ID[:6])
    error = refusal(host, ID[:6])
    assert all(path in error.why for path in (first, second, "/" + ID[:6]))


def test_candidates_are_bounded(host: FakeHost) -> None:
    for number in range(30):
        docker(host, f"{number:064x}", "same")
    error = refusal(host, "same")
    assert len(re.findall(r"/docker/", error.why)) == 10
    assert error.why.endswith("and 20 more")


def test_an_unknown_name_lists_the_three_nearest(host: FakeHost) -> None:
    for number, name in enumerate(["orders", "orders-db", "billing", "order", "x" * 300]):
        docker(host, f"{number:064x}", name)
    error = refusal(host, "ordrs")
    assert error.todo == "nearest: orders, order, orders-db"


def test_an_unknown_path_lists_the_three_nearest(host: FakeHost) -> None:
    for path in ("/system.slice", "/system.slice/cron", "/user.slice", "/docker"):
        host.cgroup(path)
    assert refusal(host, "/sistem.slice").todo.startswith("nearest: /system.slice, ")
    assert refusal(host, f"{host.mount}/system.slice/crom").todo.startswith("nearest: /system.slice/cron, ")
    assert refusal(host, "system.slice/crom").todo.startswith("nearest: /system.slice/cron, ")


def test_a_bare_word_may_be_a_path(host: FakeHost) -> None:
    host.cgroup("/system.slice")
    assert find(host, "system.slice") == "/system.slice"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_cgroup_that_exists_or_a_clear_error(v1: FakeHost, text: str) -> None:
    try:
        path = find(v1, text)
    except KmemscopeError as error:
        assert error.what
        assert error.exit_status in {2, 3}
    else:
        assert v1.hierarchy.exists(path)


def test_names_that_are_not_utf8_are_found_as_the_shell_gives_them(v1: FakeHost) -> None:
    os.mkdir(os.fsencode(v1.root / v1.mount.strip("/")) + b"/\xff\n")
    assert find(v1, os.fsdecode(b"/\xff\n")) == "/\udcff\n"
