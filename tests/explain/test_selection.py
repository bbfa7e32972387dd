from dataclasses import replace

import pytest

from kmemscope.explain.diagnosis import explain
from kmemscope.explain.selection import select
from kmemscope.model.errors import TargetNotFound
from kmemscope.model.node import Cgroup, Container, Process
from kmemscope.model.observation import Charged
from tests.explain.looks import census, look, slab

ORDERS = Container("4f" * 32, "docker", "orders")
WEB = Container("4f4f4f" + "00" * 29, "docker", "web")
CGROUPS = (
    Cgroup("/", 1, 1, kernel_bytes=900),
    Cgroup("/docker", 2, 1, kernel_bytes=800),
    Cgroup("/docker/orders", 3, 1, kernel_bytes=500, container=ORDERS),
    Cgroup("/docker/orders/worker", 4, 1, kernel_bytes=300, container=ORDERS),
    Cgroup("/docker/web", 5, 1, kernel_bytes=100, container=WEB),
    Cgroup("/web", 6, 1, kernel_bytes=50),
)
TAKEN = census(slab(3, "dentry", 1, 200), slab(4, "dentry", 1, 250), slab(5, "dentry", 1, 90))
NODE = look(
    TAKEN, *CGROUPS, target=None,
    processes=(Process(7, "java", 1, 1, 1, "/docker/orders/worker"), Process(8, "nginx", 1, 1, 1, "/docker/web")),
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("/docker/orders", "/docker/orders"),
        ("docker/orders/", "/docker/orders"),
        ("/", "/"),
        ("orders", "/docker/orders"),
        ("4f" * 32, "/docker/orders"),
        ("4f4f4f4f", "/docker/orders"),
        ("4f4f4f0", "/docker/web"),
        ("docker", "/docker"),
        ("pid:7", "/docker/orders/worker"),
    ],
)
def test_words_mean_what_they_mean_on_the_machine(words: str, path: str) -> None:
    assert select(NODE, words).target == path


def test_the_answer_is_about_what_was_selected() -> None:
    answer = explain(select(NODE, "orders"))

    assert answer.target.path == "/docker/orders"
    assert answer.account
    assert (answer.account.charged_bytes, answer.account.named_bytes) == (500, 450)
    assert [process.comm for process in answer.processes] == ["java"]


@pytest.mark.parametrize("words", ["4f4f4f", "web"])
def test_words_that_mean_several_list_them(words: str) -> None:
    with pytest.raises(TargetNotFound, match="means 2 targets") as refused:
        select(NODE, words)

    assert "/docker/web" in refused.value.why


@pytest.mark.parametrize("words", ["nobody", "/docker/gone", "pid:9", "self", "4f4f4"])
def test_words_that_mean_nothing_are_answered_with_what_was_observed(words: str) -> None:
    with pytest.raises(TargetNotFound, match="was not observed") as refused:
        select(NODE, words)

    assert "/docker/orders" in refused.value.why


def test_what_was_read_around_the_census_holds_for_the_observed_target_only() -> None:
    observed = replace(NODE, target="/docker", charged=Charged(800, 810))

    assert select(observed, "/docker") is observed
    below = select(observed, "/docker/web")
    assert below.charged is None


def test_what_lies_outside_of_the_observed_target_was_not_observed() -> None:
    observed = replace(NODE, target="/docker/orders")

    with pytest.raises(TargetNotFound) as refused:
        select(observed, "/docker/web")

    assert "/docker/web" not in refused.value.why
