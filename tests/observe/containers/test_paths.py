import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.observe.containers.paths import places_in

ID = "4f3a" + "0123456789abcdef" * 3 + "aaaabbbbcccc"
OTHER = "b" * 64
UID = "8a5d0c1e-3b7f-4e21-9c44-0f6a1b2c3d4e"
SLICE_UID = UID.replace("-", "_")
STATIC = "0123456789abcdef0123456789abcdef"

SHAPES = [
    # docker, both drivers
    (f"/docker/{ID}", None, "docker", None),
    (f"/system.slice/docker-{ID}.scope", "docker", "system.slice", None),
    # kubelet with the cgroupfs driver: every quality of service
    (f"/kubepods/pod{UID}/{ID}", None, f"pod{UID}", UID),
    (f"/kubepods/burstable/pod{UID}/{ID}", None, f"pod{UID}", UID),
    (f"/kubepods/besteffort/pod{STATIC}/{ID}", None, f"pod{STATIC}", STATIC),
    (f"/kubepods/besteffort/pod{UID}/crio-{ID}", "crio", f"pod{UID}", UID),
    # kubelet with the systemd driver
    (
        f"/kubepods.slice/kubepods-pod{SLICE_UID}.slice/cri-containerd-{ID}.scope",
        "cri-containerd",
        f"kubepods-pod{SLICE_UID}.slice",
        UID,
    ),
    (
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE_UID}.slice/crio-{ID}.scope",
        "crio",
        f"kubepods-burstable-pod{SLICE_UID}.slice",
        UID,
    ),
    # drivers that differ: containerd takes systemd's name for a path
    (
        f"/system.slice/containerd.service/kubepods-besteffort-pod{SLICE_UID}.slice:cri-containerd:{ID}",
        "cri-containerd",
        "containerd.service",
        UID,
    ),
    (f"/kubepods-burstable-pod{SLICE_UID}.slice:cri-containerd:{ID}", "cri-containerd", "", UID),
    # a kubelet with --cgroup-root, as in kind
    (
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
        f"kubelet-kubepods-burstable-pod{SLICE_UID}.slice/cri-containerd-{ID}.scope",
        "cri-containerd",
        f"kubelet-kubepods-burstable-pod{SLICE_UID}.slice",
        UID,
    ),
    # podman, both drivers
    (f"/machine.slice/libpod-{ID}.scope", "libpod", "machine.slice", None),
    (f"/libpod_parent/libpod-{ID}", "libpod", "libpod_parent", None),
    (f"/libpod_parent/{OTHER}x/libpod-{ID}", "libpod", f"{OTHER}x", None),
    (f"/user.slice/app.slice/libpod-payload-{ID}", "libpod-payload", "app.slice", None),
    # a cgroup parent of the user's own
    (f"/mine/{ID}", None, "mine", None),
    (f"/{ID}", None, "", None),
]


@pytest.mark.parametrize(("path", "prefix", "parent", "uid"), SHAPES)
@pytest.mark.parametrize("nested", ["", "/init.scope", "/system.slice/a.service"])
def test_every_shape_and_what_is_nested_in_it(
    path: str, prefix: str | None, parent: str, uid: str | None, nested: str
) -> None:
    places = places_in(path + nested)
    assert [(each.path, each.id, each.prefix, each.parent, each.pod_uid) for each in places.containers] == [
        (path, ID, prefix, parent, uid)
    ]
    assert places.pod_uid == uid


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/docker",
        "/system.slice/docker.service",
        f"/docker/{ID[:-1]}",
        f"/docker/{ID}0",
        f"/docker/{ID.upper()}",
        f"/docker/-{ID}.scope",
        f"/docker{ID}.scope",
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"/crio-conmon-{ID}.scope",
        f"/libpod_parent/conmon-{ID}",
        f"/system.slice/docker-{ID}.service",
        f"/docker/{ID}\n",
        f"/pod{UID}",
    ],
)
def test_what_is_no_container_and_no_pod(path: str) -> None:
    places = places_in(path)
    assert (places.containers, places.pod_uid) == ((), None)


@pytest.mark.parametrize(
    "path",
    [
        f"/kubepods/burstable/pod{UID}",
        f"/kubepods.slice/kubepods-pod{SLICE_UID}.slice",
        f"/kubepods/pod{UID}/cgroup-of-a-sidecar",
    ],
)
def test_a_pod_without_a_container(path: str) -> None:
    places = places_in(path)
    assert (places.containers, places.pod_uid) == ((), UID)


def test_the_outermost_comes_first() -> None:
    inner = f"/docker/{ID}/kubepods/pod{UID}/{OTHER}"
    places = places_in(inner)
    assert [(each.id, each.pod_uid) for each in places.containers] == [(ID, None), (OTHER, UID)]
    nested = places_in(f"/kubepods/pod{UID}/{ID}/kubepods/pod{STATIC}/{OTHER}")
    assert nested.pod_uid == UID


@given(st.text())
def test_no_path_is_too_strange(path: str) -> None:
    for place in places_in("/" + path).containers:
        assert ("/" + path).startswith(place.path)
        assert len(place.id) == 64


@pytest.mark.parametrize("word", ["-", ":", "a", "a-", "a:", "kubepods-pod", "pod", "0" * 63 + "-"])
def test_names_made_to_be_slow_are_not(word: str) -> None:
    path = "/kubepods" + ("/" + (word * 255)[:255]) * 15
    started = time.process_time()
    for _ in range(10):
        places_in(path)
    assert time.process_time() - started < 1  # backtracking would take minutes
