"""What Python packs and unpacks is what the C sources declare: a field moved on one side only fails here."""

import dataclasses
import re
from struct import Struct, calcsize

import pytest

from kmemscope.model.kinds import Kind
from kmemscope.observe import census, workers
from kmemscope.observe.bpf import census_programs
from kmemscope.observe.bpf.census_programs import Places, Probed, RawCache, RawOwner, Walked
from tests.observe.bpf import c_source

LAYOUTS = {
    name: value
    for name, value in vars(census_programs).items()
    if isinstance(value, Struct) and name not in {"NUMBER", "COUNT"}  # keys and values of maps that are one number
}


def sizes(layout: Struct) -> list[int]:
    """Sizes of the values of a layout in order."""
    parts = re.findall(r"(\d*)([A-Za-z])", layout.format)
    each = [([calcsize(f"={n}s")] if code == "s" else [calcsize("=" + code)] * int(n or 1)) for n, code in parts]
    return [size for group in each for size in group]


def names(struct: str) -> list[str]:
    return [field.name for field in c_source.struct(struct)]


def fields(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def test_all_layouts_are_known() -> None:
    assert {"WALK", "MARKING", "CHARGE_KEY", "OWNER", "CACHE", "CHECK_BASE", "PROBE"} <= set(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_has_the_fields_of_its_struct(name: str) -> None:
    assert LAYOUTS[name].format.startswith("=")
    assert sizes(LAYOUTS[name]) == [field.size for field in c_source.struct(name.lower())]


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_compiler_adds_no_gaps_that_python_does_not_know(name: str) -> None:
    at = 0
    for field in c_source.struct(name.lower()):
        assert at % field.alignment == 0, field.name
        at += field.size

    assert at % max(field.alignment for field in c_source.struct(name.lower())) == 0
    assert at == LAYOUTS[name].size


def test_values_are_taken_for_what_they_are() -> None:
    assert names("walk")[:5] == ["worker", "vmemmap", "pfn", "end", "budget_ns"]
    assert names("walk")[5:9] == ["headers_end", "direct_map", "page_shift", "area_cache"]
    assert {"headers", *names("walk")[5:9]} == set(fields(Places))
    assert names("walk")[9:] == fields(Walked)
    assert names("marking")[:3] == ["vmemmap", "direct_map", "page_shift"]
    assert names("marking").index("dropped") == 4
    assert names("charge_key") == ["owner", "what"]
    assert names("owner") == [*fields(RawOwner)[:4], "rows_known", *["rows"] * 6, "name"]
    assert {*fields(RawOwner)[4:]} == {"rows", "name"}
    assert len(census.KERNEL_ROWS) == names("owner").count("rows")
    assert names("cache") == ["size", "object_size", "reclaimable", "pad", "name"] != fields(RawCache)
    assert [name for name in names("cache") if name != "pad"] == fields(RawCache)
    assert names("probe") == ["pipe_fd", *fields(Probed)]
    assert names("list_caches") == ["vmemmap", "pfn", "end", "found"]
    assert names("count_chunk") == ["address", "page_bytes", "pages", "cpus", "failed", "dropped"]
    assert names("check_base") == ["vmemmap", "base", "page_shift", *["caches"] * 5, "checked", "matched"]


def test_every_use_of_a_page_has_a_meaning() -> None:
    uses = {name: value for name, value in c_source.enum("what").items() if name != "LAST_USE"}

    percpu = {"PERCPU_UNITS": census.PERCPU_UNITS, "PERCPU_OBJECTS": census.PERCPU_OBJECTS}
    assert {name: uses[name] for name in percpu} == percpu
    assert {value for name, value in uses.items() if name not in percpu} == set(census.PAGE_USES)
    assert c_source.enum("what")["LAST_USE"] == max(uses.values())


@pytest.mark.parametrize(
    ("use", "kind"),
    [
        ("OTHER_PAGES", Kind.OTHER_PAGES),
        ("PAGETABLES", Kind.PAGETABLES),
        ("LARGE_KMALLOC", Kind.SLAB_UNRECLAIMABLE),
        ("KERNEL_STACK", Kind.KERNEL_STACK),
        ("PIPE_BUFFERS", Kind.PIPE_BUFFERS),
        ("VMALLOC", Kind.VMALLOC),
        ("COMPOUND_PAGES", Kind.OTHER_PAGES),
    ],
)
def test_a_use_of_a_page_is_of_its_kind(use: str, kind: Kind) -> None:
    assert census.PAGE_USES[c_source.enum("what")[use]][0] is kind


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKERS", workers.WORKERS),
        ("LOOK_STRIDE", census_programs.LOOK_STRIDE),
        ("PERCPU_UNIT_BYTES", census.PERCPU_UNIT_BYTES),
    ],
)
def test_numbers_that_both_sides_use(name: str, value: int) -> None:
    assert c_source.defined(name) == value


def test_maps_that_are_sized_by_the_reader_exist() -> None:
    for name in census.ENTRIES:
        assert re.search(rf"}} {name} SEC\(\"\.maps\"\)", c_source.text())
