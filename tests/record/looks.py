"""One observation with a value in every field, so that none can be forgotten."""

from kmemscope.model.census import Census, Charge, Owner, SlabCache
from kmemscope.model.kinds import Kind
from kmemscope.model.node import Cgroup, Container, Host, Level, Limitation, Pod, Process
from kmemscope.model.observation import Charged, Observation

FULL = Observation(
    time=1790000000.25,
    host=Host("6.18.44", 4096, 2, 25276502016),
    level=Level.EXACT,
    limitations=(Limitation("what", "why", "todo"),),
    target="/pods/orders",
    cgroups=(
        Cgroup("/", 1, 2),
        Cgroup(
            "/pods/orders", 9176, 2, 5 << 20, 64 << 20, 4 << 20, "memory.stat: kernel", 12,
            {"slab": 3, "kernel_stack": 16384}, 1, Container("4f" * 32, "containerd", "orders", "shop/orders:1"),
            Pod("uid", "orders-7d9", "shop"),
        ),
    ),
    census=Census(
        charges=(
            Charge(9176, Kind.SLAB_UNRECLAIMABLE, "pid", None, 6000, 816000),
            Charge(9177, Kind.OTHER_PAGES, None, "blocks", 4, 16384),
        ),
        caches=(SlabCache("pid", ("eventpoll_epi", "pid"), 128, False),),
        owners=(Owner(9176, "orders", 1, True, 96, {Kind.PERCPU: 5}), Owner(9177, "gone\udcff", None, False)),
        pages=6291456,
        faults=1,
        unowned_slabs=2,
        races=3,
        percpu_unread_bytes=4,
        seconds=0.06,
        stock_slots=5,
        notes=("a note",),
    ),
    charged=Charged(4 << 20, 5 << 20),
    processes=(
        Process(1, "java", 4003, 120, 8192, "/pods/orders"), Process(2, "no\nfds", 1, None, None, "/pods/orders"),
    ),
    processes_left_out=7,
    seconds=0.4,
)  # fmt: skip
