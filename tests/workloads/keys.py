"""Keys in a keyring of one's own: suspected often, charged to nobody."""

from __future__ import annotations

from contextlib import ExitStack

from tests.workloads.kernel_calls import needed, older_number, system_call
from tests.workloads.workload import Workload

KEYCTL_JOIN_SESSION_KEYRING = 1
SESSION_KEYRING = -3
PAYLOAD = bytes(64)


def keys(count: int, keep: ExitStack) -> int:
    """Add keys to a new session keyring, which goes when the process goes."""
    try:
        system_call(older_number("keyctl"), KEYCTL_JOIN_SESSION_KEYRING, None, what="keyctl")
        for each in range(count):
            name = f"workload-{each}".encode()
            arguments = (b"user", name, PAYLOAD, len(PAYLOAD), SESSION_KEYRING)
            system_call(older_number("add_key"), *arguments, what="add_key")
    except OSError as error:
        raise needed("the kernel's key service", error) from None
    return count


WORKLOADS = (
    Workload(
        name="keys",
        summary="keys of type user: charged to nobody",
        make=keys,
        count=2_000,
        expects=(),
        uncharged=("key_jar",),
    ),
)
