"""What the property tests draw from: names as hostile as a container can choose, trees of cgroups, observations."""

from __future__ import annotations

from hypothesis import strategies as st

from kmemscope.model.census import Census, Charge, Owner, SlabCache
from kmemscope.model.kinds import Kind
from kmemscope.model.node import Cgroup, Container, Host, Level, Limitation, Pod, Process
from kmemscope.model.observation import Charged, Observation
from kmemscope.observe.census import KERNEL_ROWS

HOSTILE = (
    "a\x1b[2Jb", "two\nlines", "car\rriage", "bell\a", "\x9b31m", "right\u202eleft", "iso\u2067late", "zero\u200bwidth",
    "sep\u2028arate", "bom\ufeff", "tag\U000e0041", "back\\slash", "bytes\udcff\udc9b", "nul\0", "\u0300combined", "",
)  # fmt: skip
"""A name for every way to harm a terminal or a log that we know of."""

BYTES = st.integers(0, 1 << 50)
COUNTS = st.integers(0, 1 << 40)
SECONDS = st.floats(0, 4e9, allow_nan=False)


def names() -> st.SearchStrategy[str]:
    """Names as the kernel's bytes become text: any characters, and bytes that are none as lone surrogates."""
    raw = st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))
    return st.one_of(st.sampled_from(HOSTILE), raw, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))


def plain_names() -> st.SearchStrategy[str]:
    """Names that a directory or a slab cache may have without being special; few, so that they meet again."""
    return st.sampled_from(["a", "b", "c", "orders", "kmalloc-64", "dentry", "filp"])


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


HOSTS = st.builds(
    Host,
    kernel=names(),
    page_bytes=st.sampled_from([4096, 16384, 65536]),
    cpus=st.integers(1, 1024),
    memory_bytes=BYTES,
)
CONTAINERS = st.builds(Container, id=names(), runtime=names(), name=maybe(names()), image=maybe(names()))
PODS = st.builds(Pod, uid=names(), name=maybe(names()), namespace=maybe(names()))
LIMITATIONS = st.builds(Limitation, names(), names(), names())
STATS = st.dictionaries(st.sampled_from([*Kind, "slab", "sock", "anon"]).map(str), BYTES, max_size=4)
PROCESSES = st.builds(
    Process,
    pid=st.integers(1, 1 << 22),
    comm=names(),
    threads=st.integers(0, 10000),
    fds=maybe(COUNTS),
    page_table_bytes=maybe(BYTES),
    cgroup=names(),
)
NOTES = st.lists(names(), max_size=2).map(tuple)


def cgroups(path: st.SearchStrategy[str]) -> st.SearchStrategy[Cgroup]:
    """Any cgroup of such a path."""
    return st.builds(
        Cgroup,
        path=path,
        id=st.integers(1, 1 << 40),
        version=st.sampled_from([1, 2]),
        usage_bytes=maybe(BYTES),
        limit_bytes=maybe(BYTES),
        kernel_bytes=maybe(BYTES),
        kernel_source=maybe(names()),
        sock_bytes=maybe(BYTES),
        stat=STATS,
        dying_descendants=maybe(COUNTS),
        container=maybe(CONTAINERS),
        pod=maybe(PODS),
    )


def charges(cgroup_id: st.SearchStrategy[int], name: st.SearchStrategy[str]) -> st.SearchStrategy[Charge]:
    """Any charge to these cgroups."""
    return st.builds(
        Charge,
        cgroup_id=cgroup_id,
        kind=st.sampled_from([kind for kind in Kind if kind is not Kind.ZSWAP]),
        cache=maybe(name),
        what=maybe(name),
        objects=COUNTS,
        bytes=BYTES,
    )


def caches(name: st.SearchStrategy[str]) -> st.SearchStrategy[SlabCache]:
    """Any slab cache, merged or not."""
    aliases = st.lists(name, max_size=4, unique=True).map(sorted).map(tuple)
    return st.builds(SlabCache, name, aliases, object_bytes=st.integers(8, 8192), reclaimable=st.booleans())


def censuses(
    cgroup_id: st.SearchStrategy[int],
    name: st.SearchStrategy[str],
    notes: st.SearchStrategy[tuple[str, ...]],
    most: int = 8,
) -> st.SearchStrategy[Census]:
    """Any census over these ids."""
    owners = st.lists(
        st.builds(
            Owner,
            cgroup_id,
            name,
            parent_id=maybe(cgroup_id),
            online=st.booleans(),
            pending_bytes=st.integers(0, 1 << 20),
            rows=st.dictionaries(st.sampled_from(KERNEL_ROWS), st.integers(0, 1 << 40), max_size=3),
        ),
        max_size=most,
        unique_by=lambda owner: owner.cgroup_id,
    )
    return st.builds(
        Census,
        charges=st.lists(charges(cgroup_id, name), max_size=most).map(tuple),
        caches=st.lists(caches(name), max_size=3, unique_by=lambda cache: cache.name).map(tuple),
        owners=owners.map(tuple),
        pages=COUNTS,
        faults=COUNTS,
        unowned_slabs=COUNTS,
        races=COUNTS,
        percpu_unread_bytes=BYTES,
        seconds=SECONDS,
        notes=notes,
    )


@st.composite
def trees(draw: st.DrawFn) -> tuple[Cgroup, ...]:
    """Cgroups that lie within each other, the root first, each with an id of its own."""
    paths = ["/"]
    for _ in range(draw(st.integers(0, 5))):
        path = f"{draw(st.sampled_from(paths)).rstrip('/')}/{draw(plain_names())}"
        if path not in paths:
            paths.append(path)
    return tuple(
        Cgroup(
            path, number, draw(st.sampled_from([1, 2])),
            kernel_bytes=draw(maybe(BYTES)), limit_bytes=draw(maybe(BYTES)), stat=draw(STATS),
        )
        for number, path in enumerate(paths, 1)
    )  # fmt: skip


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    """One look at a tree of cgroups, some of whose payers have no directory, or are not known at all."""
    cgroups_ = draw(trees())
    census = censuses(st.integers(0, len(cgroups_) + 6), plain_names(), notes=st.just(()))
    return Observation(
        time=0.0,
        host=Host("6.18", draw(st.sampled_from([4096, 65536])), draw(st.integers(1, 1024)), 1 << 34),
        level=draw(st.sampled_from(Level)),
        limitations=(),
        target=draw(st.sampled_from([each.path for each in cgroups_])),
        cgroups=cgroups_,
        census=draw(maybe(census)),
        charged=draw(maybe(st.builds(Charged, BYTES, BYTES))),
    )


def looks(
    cgroups_: st.SearchStrategy[tuple[Cgroup, ...]],
    target: st.SearchStrategy[str],
    census: st.SearchStrategy[Census],
) -> st.SearchStrategy[Observation]:
    """Observations of these parts."""
    return st.builds(
        Observation,
        time=SECONDS,
        host=HOSTS,
        level=st.sampled_from(Level),
        limitations=st.lists(LIMITATIONS, max_size=2).map(tuple),
        target=maybe(target),
        cgroups=cgroups_,
        census=maybe(census),
        charged=maybe(st.builds(Charged, BYTES, BYTES)),
        processes=st.lists(PROCESSES, max_size=3).map(tuple),
        processes_left_out=COUNTS,
        seconds=SECONDS,
    )


def hostile_observations() -> st.SearchStrategy[Observation]:
    """Observations in which every text is anything and nothing need fit together, as in a forged capture."""
    many = st.lists(cgroups(names()), min_size=1, max_size=3, unique_by=lambda cgroup: cgroup.path).map(tuple)
    return many.flatmap(
        lambda found: looks(
            st.just(found),
            st.sampled_from([each.path for each in found]),
            censuses(st.sampled_from([each.id for each in found] + [0, 7]), names(), NOTES, most=3),
        )
    )
