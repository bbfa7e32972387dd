from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.observe.memory_ranges import PageRange, block_ranges, joined, pieces, ram_ranges

PAGE = 4096
IOMEM = """\
00000000-00000fff : Reserved
00001000-0009ffff : System RAM
000a0000-000fffff : PCI Bus 0000:00
  000c0000-000ccdff : Video ROM
00100000-bfffffff : System RAM
  01000000-01ffffff : Kernel code
fee00000-fee00fff : Local APIC
100000000-13fffffff : System RAM
140000000-23fffffff : 0000:00:02.0
  140000000-147ffffff : virtio0
    140000000-147ffffff : System RAM (virtio_mem)
"""
RANGES = st.lists(
    st.tuples(st.integers(0, 300), st.integers(-5, 60)).map(lambda pair: PageRange(pair[0], pair[0] + pair[1])),
    max_size=12,
)


def frames(ranges: object) -> set[int]:
    """Every page frame of some ranges."""
    return {frame for each in ranges for frame in range(each.start, each.end)}


def test_all_ram_is_found_at_any_depth_and_nothing_else() -> None:
    assert ram_ranges(IOMEM, PAGE) == (
        PageRange(0x1, 0xA0),
        PageRange(0x100, 0xC0000),
        PageRange(0x100000, 0x148000),
    )


def test_ram_within_ram_counts_once() -> None:
    text = "00000000-0000ffff : System RAM\n  00001000-00002fff : System RAM (kmem)\n00010000-0001ffff : System RAM\n"
    assert ram_ranges(text, PAGE) == (PageRange(0, 32),)


def test_parts_of_pages_are_left_out() -> None:
    assert ram_ranges("00000800-00003bff : System RAM\n", PAGE) == (PageRange(1, 3),)
    assert ram_ranges("00000800-00000bff : System RAM\n", PAGE) == ()


def test_zeros_for_those_without_rights_give_no_range() -> None:
    assert ram_ranges("00000000-00000000 : System RAM\n" * 5, PAGE) == ()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "System RAM",
        " : System RAM",
        "xyz-abc : System RAM",
        "1000 : System RAM",
        "-1fff : System RAM",
        "0-1fff:System RAM",
        "2000-1000 : System RAM",
        "0000-1fff : system ram",
        "0000-1fff : Not System RAM",
        "1000-1fff",
        "1000-1fff-2fff : System RAM",
    ],
)
def test_a_line_that_makes_no_sense_is_passed_over(line: str) -> None:
    assert ram_ranges(f"{line}\n00000000-00000fff : System RAM\n", PAGE) == (PageRange(0, 1),)


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    found = ram_ranges(text, PAGE)
    assert joined(found) == found


@given(st.integers(0, len(IOMEM)))
def test_a_text_that_was_cut_never_gives_more_ram(length: int) -> None:
    assert frames(ram_ranges(IOMEM[:length], 1 << 20)) <= frames(ram_ranges(IOMEM, 1 << 20))


@given(RANGES)
def test_joined_ranges_are_the_same_pages_sorted_apart_and_not_empty(ranges: list[PageRange]) -> None:
    found = joined(ranges)

    assert frames(found) == frames(ranges)
    assert all(each.start < each.end for each in found)
    assert all(one.end < other.start for one, other in pairwise(found))


@given(RANGES)
def test_joining_does_not_depend_on_the_order(ranges: list[PageRange]) -> None:
    assert joined(ranges) == joined(reversed(ranges)) == joined(joined(ranges))


@given(RANGES.map(joined), st.integers(1, 70))
def test_pieces_partition_the_ranges_in_order(ranges: tuple[PageRange, ...], most: int) -> None:
    cut = pieces(ranges, most)

    assert frames(cut) == frames(ranges)
    assert sum(each.end - each.start for each in cut) == len(frames(ranges))
    assert all(0 < each.end - each.start <= most for each in cut)
    assert cut == sorted(cut)


def test_memory_blocks_become_ranges() -> None:
    block = 128 << 20
    assert block_ranges([3, 0, 1], block, PAGE) == (PageRange(0, 65536), PageRange(98304, 131072))
    assert block_ranges([], block, PAGE) == ()
