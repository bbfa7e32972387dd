import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kmemscope.model.node import Container, Pod
from kmemscope.observe.containers import Containers, identify
from tests.observe.containers.test_paths import ID, OTHER, SLICE_UID, UID
from tests.observe.fake_host import FakeHost

CRI_BUNDLES = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
SYSTEMD_POD = f"/kubepods.slice/kubepods-pod{SLICE_UID}.slice"
CGROUPFS_POD = f"/kubepods/burstable/pod{UID}"
PODMAN_INDEX = "/var/lib/containers/storage/overlay-containers/containers.json"

# What the runtimes write, cut to what is read and some of what is around it
CRI_CONFIG = {
    "ociVersion": "1.0.2-dev",
    "annotations": {
        "io.kubernetes.cri.container-name": "orders",
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.image-name": "registry.example/orders:1.2",
        "io.kubernetes.cri.sandbox-id": OTHER,
        "io.kubernetes.cri.sandbox-name": "orders-7d9",
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.sandbox-uid": UID,
    },
}
DOCKER_CONFIG = {
    "ID": ID,
    "Name": "/orders",
    "Config": {"Image": "orders:1.2", "Labels": {"com.example": "x"}},
    "State": {"Pid": 4},
}
DOCKERSHIM_CONFIG = {
    "Name": f"/k8s_orders_orders-7d9_shop_{UID}_0",
    "Config": {
        "Image": "sha256:abc",
        "Labels": {
            "io.kubernetes.container.name": "orders",
            "io.kubernetes.pod.name": "orders-7d9",
            "io.kubernetes.pod.namespace": "shop",
            "io.kubernetes.pod.uid": UID,
        },
    },
}
CRIO_CONFIG = {
    "annotations": {
        "io.kubernetes.container.name": "orders",
        "io.kubernetes.cri-o.ContainerType": "container",
        "io.kubernetes.cri-o.ImageName": "registry.example/orders:1.2",
        "io.kubernetes.pod.name": "orders-7d9",
        "io.kubernetes.pod.namespace": "shop",
        "io.kubernetes.pod.uid": UID,
    }
}
PODMAN_CONTAINERS = [
    {"id": OTHER, "names": ["other"], "metadata": "{}"},
    {
        "id": ID,
        "names": ["orders"],
        "image": "e" * 64,
        "metadata": json.dumps({"image-name": "localhost/orders:1.2", "name": "orders"}),
    },
]
POD = Pod(UID, "orders-7d9", "shop")

KNOWN = [
    (
        f"{SYSTEMD_POD}/cri-containerd-{ID}.scope",
        f"{CRI_BUNDLES}/{ID}/config.json",
        CRI_CONFIG,
        Container(ID, "containerd", "orders", "registry.example/orders:1.2"),
        POD,
    ),
    (
        f"{CGROUPFS_POD}/{ID}",  # the path does not say whose
        f"/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json",
        CRI_CONFIG,
        Container(ID, "containerd", "orders", "registry.example/orders:1.2"),
        POD,
    ),
    (
        f"/default/{ID}",
        f"/run/containerd/io.containerd.runtime.v2.task/default/{ID}/config.json",
        {"annotations": {"nerdctl/name": "orders"}},
        Container(ID, "containerd", "orders", None),
        None,
    ),
    (
        f"/docker/{ID}",
        f"/var/lib/docker/containers/{ID}/config.v2.json",
        DOCKER_CONFIG,
        Container(ID, "docker", "orders", "orders:1.2"),
        None,
    ),
    (
        f"/mine/{ID}",
        f"/var/lib/docker/containers/{ID}/config.v2.json",
        DOCKER_CONFIG,
        Container(ID, "docker", "orders", "orders:1.2"),
        None,
    ),
    (
        f"{SYSTEMD_POD}/docker-{ID}.scope",
        f"/var/lib/docker/containers/{ID}/config.v2.json",
        DOCKERSHIM_CONFIG,
        Container(ID, "docker", "orders", "sha256:abc"),
        POD,
    ),
    (
        f"{SYSTEMD_POD}/crio-{ID}.scope",
        f"/run/containers/storage/overlay-containers/{ID}/userdata/config.json",
        CRIO_CONFIG,
        Container(ID, "crio", "orders", "registry.example/orders:1.2"),
        POD,
    ),
    (
        f"/machine.slice/libpod-{ID}.scope",
        PODMAN_INDEX,
        PODMAN_CONTAINERS,
        Container(ID, "podman", "orders", "localhost/orders:1.2"),
        None,
    ),
]


@pytest.mark.parametrize(("path", "file", "content", "container", "pod"), KNOWN)
@pytest.mark.parametrize("nested", ["", "/init.scope"])
def test_names_come_from_the_runtimes_file(
    v2: FakeHost, path: str, file: str, content: object, container: Container, pod: Pod | None, nested: str
) -> None:
    v2.write(file, json.dumps(content))
    assert identify(v2.hostfs, path + nested) == (container, pod)
    assert Containers(v2.hostfs).identity(path + nested).path == path


@pytest.mark.parametrize(("path", "file", "content", "container", "pod"), KNOWN)
@pytest.mark.parametrize(
    "damage", ["missing", "cut", "link", "pipe", "huge", "deep", "list", "number", "binary", "numbers"]
)
def test_a_damaged_file_costs_the_names_only(
    v2: FakeHost, path: str, file: str, content: object, container: Container, pod: Pod | None, damage: str
) -> None:
    target = v2.write(file, json.dumps(content))
    match damage:
        case "missing":
            target.unlink()
        case "cut":
            target.write_text(json.dumps(content)[:-20])
        case "link":
            target.rename(target.parent / "elsewhere")
            target.symlink_to("elsewhere")
        case "pipe":
            target.unlink()
            os.mkfifo(target)
        case "huge":
            target.write_text(json.dumps(content))
            os.truncate(target, 1 << 30)  # a hole: takes no space
        case "deep":
            target.write_text("[" * 1_000_000)
        case "list":
            target.write_text("[[], {}, 1, null]")
        case "number":
            target.write_text("1" * 10_000)
        case "binary":
            target.write_bytes(b"\xff\0{}")
        case "numbers":
            target.write_text('{"annotations": 1, "Config": [], "Name": {}, "id": 3, "linux": null}')
    found, found_pod = identify(v2.hostfs, path)
    assert found is not None
    assert (found.id, found.name, found.image) == (ID, None, None)
    assert (found_pod.uid if found_pod else None) == (pod.uid if pod else None)
    assert found_pod is None or (found_pod.name, found_pod.namespace) == (None, None)


@pytest.mark.parametrize(
    ("path", "runtime"),
    [
        (f"/docker/{ID}", "docker"),
        (f"/system.slice/cri-containerd-{ID}.scope", "containerd"),
        (f"/system.slice/crio-{ID}.scope", "crio"),
        (f"/libpod_parent/libpod-{ID}", "podman"),
        (f"/system.slice/buildkit-{ID}.scope", "buildkit"),
        (f"/mine/{ID}", "unknown"),
    ],
)
def test_without_files_the_path_tells_id_and_runtime(v2: FakeHost, path: str, runtime: str) -> None:
    assert identify(v2.hostfs, path) == (Container(ID, runtime), None)


def test_a_pods_sandbox_is_called_as_the_kubelet_calls_it(v2: FakeHost) -> None:
    config = {"annotations": {**CRI_CONFIG["annotations"], "io.kubernetes.cri.container-type": "sandbox"}}  # type: ignore[dict-item]
    del config["annotations"]["io.kubernetes.cri.container-name"]
    v2.write(f"{CRI_BUNDLES}/{ID}/config.json", json.dumps(config))
    container, pod = identify(v2.hostfs, f"{CGROUPFS_POD}/{ID}")
    assert container is not None
    assert (container.name, pod) == ("POD", POD)


def test_log_directories_name_what_no_readable_file_does(v2: FakeHost) -> None:
    v2.write(f"/var/log/pods/shop_orders-7d9_{UID}/orders/0.log", "")
    v2.write(f"/var/log/containers/orders-7d9_shop_orders-web-{ID}.log", "")
    v2.write("/var/log/pods/nonsense", "")
    v2.write("/var/log/containers/nonsense.log", "")
    assert identify(v2.hostfs, CGROUPFS_POD) == (None, POD)
    assert identify(v2.hostfs, f"{CGROUPFS_POD}/{ID}") == (Container(ID, "unknown", "orders-web"), POD)


def test_dockers_own_settings_say_where_its_files_are(v2: FakeHost) -> None:
    v2.write("/etc/docker/daemon.json", '{"data-root": "/mnt/docker"}')
    v2.write(f"/mnt/docker/containers/{ID}/config.v2.json", json.dumps(DOCKER_CONFIG))
    container, _ = identify(v2.hostfs, f"/docker/{ID}")
    assert container is not None
    assert container.name == "orders"


def test_dockers_bundles_in_containerd_do_not_make_its_containers_containerds(v2: FakeHost) -> None:
    v2.write(f"/run/containerd/io.containerd.runtime.v2.task/moby/{ID}/config.json", "{}")
    assert identify(v2.hostfs, f"/mine/{ID}") == (Container(ID, "unknown"), None)


def test_a_container_cannot_pass_for_another_by_nesting_a_cgroup(v2: FakeHost) -> None:
    v2.write(f"/var/lib/docker/containers/{ID}/config.v2.json", json.dumps(DOCKER_CONFIG))
    v2.write(f"{CRI_BUNDLES}/{OTHER}/config.json", json.dumps(CRI_CONFIG))
    found = Containers(v2.hostfs).identity(f"/docker/{ID}/kubepods/pod{UID}/{OTHER}")
    assert (found.container, found.pod, found.path) == (
        Container(ID, "docker", "orders", "orders:1.2"),
        None,
        f"/docker/{ID}",
    )


def test_inside_a_node_that_is_a_container_its_own_containers_are_named(v2: FakeHost) -> None:
    v2.write(f"{CRI_BUNDLES}/{OTHER}/config.json", json.dumps(CRI_CONFIG))  # of the outer nothing is known here
    container, pod = identify(v2.hostfs, f"/docker/{ID}/kubelet/kubepods/pod{UID}/{OTHER}")
    assert container == Container(OTHER, "containerd", "orders", "registry.example/orders:1.2")
    assert pod == POD


def test_runc_alone_is_told_by_its_state(host: FakeHost) -> None:
    controller = "memory" if host.version == 1 else ""
    paths = {"cpu": "/sys/fs/cgroup/cpu,cpuacct/x", controller: f"{host.mount}/some/where"}
    host.write("/run/runc/web/state.json", json.dumps({"id": "web", "cgroup_paths": paths}))
    host.write("/run/runc/broken/state.json", "{")
    found = Containers(host.hostfs).identity("/some/where/inner")
    assert (found.container, found.path) == (Container("web", "runc", "web"), "/some/where")
    for path in ("/", "/some", "/x", "/where", "/elsewhere/where"):
        assert identify(host.hostfs, path) == (None, None)


def test_what_podman_runs_by_runc_is_podmans(host: FakeHost) -> None:
    path = f"/libpod_parent/libpod-{ID}"
    paths = {"memory": host.mount + path, "": host.mount + path}
    host.write(f"/run/runc/{ID}/state.json", json.dumps({"cgroup_paths": paths}))
    assert identify(host.hostfs, path) == (Container(ID, "podman"), None)
    host.cgroup(f"/mine/{ID}")
    paths = {"memory": f"{host.mount}/mine/{ID}", "": f"{host.mount}/mine/{ID}"}
    host.write(f"/run/runc/{ID}/state.json", json.dumps({"cgroup_paths": paths}))
    assert identify(host.hostfs, f"/mine/{ID}") == (Container(ID, "runc", ID), None)


def test_ctr_is_told_by_a_bundle_that_agrees(v2: FakeHost) -> None:
    bundles = "/run/containerd/io.containerd.runtime.v2.task/default"
    v2.write(f"{bundles}/web/config.json", '{"linux": {"cgroupsPath": "/default/web"}}')
    v2.write(f"{bundles}/db/config.json", '{"linux": {"cgroupsPath": "/other/db"}}')
    assert identify(v2.hostfs, "/default/web/x") == (Container("web", "containerd", "web"), None)
    for path in ("/default", "/default/db", "/default/..", "/default/gone", "/web"):
        assert identify(v2.hostfs, path) == (None, None)


def test_no_file_is_looked_for_when_the_path_speaks_of_none(v2: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    containers = Containers(v2.hostfs)
    containers.identity("/")  # lists the states of runc and containerd once
    opened: list[object] = []
    real_open = os.open
    monkeypatch.setattr(os, "open", lambda *words, **named: opened.append(words) or real_open(*words, **named))
    for path in ("/system.slice/cron.service", "/user.slice/user-0.slice", "/init.scope", "/default/x"):
        assert containers.identify(path) == (None, None)
    assert opened == []


_KEYS = [
    "annotations",
    "Config",
    "Labels",
    "Name",
    "Image",
    "id",
    "names",
    "metadata",
    "cgroup_paths",
    "memory",
    "io.kubernetes.cri.container-name",
    "io.kubernetes.cri.sandbox-uid",
    "io.kubernetes.pod.uid",
    "io.kubernetes.container.name",
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_JSON)
def test_any_json_in_any_file_gives_text_or_nothing(tmp_path: Path, value: object) -> None:
    host = FakeHost(tmp_path, 2)
    text = json.dumps(value)
    for _, file, *_ in KNOWN:
        host.write(file, text)
    host.write("/run/runc/web/state.json", text)
    host.write("/etc/docker/daemon.json", text)
    containers = Containers(host.hostfs)
    for path, *_ in KNOWN:
        container, pod = containers.identify(path)
        assert container is not None
        for said in (container.name, container.image, pod and pod.uid, pod and pod.name):
            assert said is None or said.encode()  # no half of a surrogate pair


def test_a_name_too_long_to_be_one_is_none(v2: FakeHost) -> None:
    config = {"Name": "/" + "x" * 2000, "Config": {"Image": "\ud800"}}
    v2.write(f"/var/lib/docker/containers/{ID}/config.v2.json", json.dumps(config))
    assert identify(v2.hostfs, f"/docker/{ID}") == (Container(ID, "docker", None, "?"), None)
