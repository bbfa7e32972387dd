"""The walls of the house: which room may use what. Read from the sources, so that no import has to run.

observe ──► model ──► explain ──► present        cli wires the rooms
              └─────► record
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src"
MOST_LINES = 500

ROOMS = {
    "model": {"model"},
    "observe": {"model", "observe"},
    "explain": {"model", "explain"},
    "record": {"model", "record"},
    "present": {"model", "present"},
    "cli": {"model", "observe", "explain", "record", "present", "cli"},
}
"""Room -> the rooms that it may import from."""
PURE = {
    "__future__",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "itertools",
    "math",
    "operator",
    "re",
    "typing",
}
"""Modules of Python that know no machine, no clock and no file."""
LIBRARIES = {"model": PURE, "explain": PURE, "present": PURE | {"json"}}
"""Room -> all of Python's modules that it may import; rooms that are not named here may use any."""
TOUCHING = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
"""Built-in functions that reach out of a pure room."""
JUNK_DRAWERS = {"util", "utils", "helper", "helpers", "common", "misc", "tools", "stuff"}
BPF = "kmemscope.observe.bpf"
BPF_DOORS = {f"{BPF}.census_programs", f"{BPF}.skeleton"}
"""What the rest of the house may know of the room behind which bpf(2) is."""


@dataclass(frozen=True)
class Module:
    """A source file and its syntax."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.partition(".")[2].partition(".")[0]

    def imports(self) -> Iterator[str]:
        """Every module that it imports, at its top or later; for `from package import module`, that module."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module, f"{self.name} imports relatively"
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in names() else node.module


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")


@cache
def names() -> frozenset[str]:
    return frozenset(map(name_of, SOURCES.rglob("*.py")))


@cache
def modules() -> tuple[Module, ...]:
    return tuple(Module(name_of(path), path, ast.parse(path.read_text())) for path in sorted(SOURCES.rglob("*.py")))


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Some modules that import each other in a circle; empty when none do."""
    clean: set[str] = set()

    def search(name: str, above: list[str]) -> list[str]:
        if name in above:
            return [*above[above.index(name) :], name]
        if name in clean:
            return []
        for each in sorted(graph.get(name, ())):
            if found := search(each, [*above, name]):
                return found
        clean.add(name)
        return []

    return next(filter(None, (search(name, []) for name in sorted(graph))), [])


each_module = pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)


@each_module
def test_a_room_imports_only_rooms_below_it(module: Module) -> None:
    if module.room in {"", "__main__"}:
        return
    for name in module.imports():
        if not name.startswith("kmemscope"):
            continue
        room = name.removeprefix("kmemscope").removeprefix(".").split(".")[0]
        about_itself = not room and module.room in {"record", "cli"}  # kmemscope.__version__
        assert about_itself or room in ROOMS[module.room], f"{module.name} imports {name}"


@each_module
def test_a_pure_room_uses_nothing_that_reaches_out(module: Module) -> None:
    allowed = LIBRARIES.get(module.room)
    if allowed is None:
        return
    used = {name.split(".")[0] for name in module.imports()} - {"kmemscope"}
    mentioned = {node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)}

    assert used <= allowed
    assert not mentioned & TOUCHING


@each_module
def test_only_its_own_room_knows_bpf(module: Module) -> None:
    if module.name.startswith(BPF):
        return
    used = {name for name in module.imports() if name.startswith(BPF)}
    attributes = {node.attr for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}

    assert used <= BPF_DOORS
    assert "syscall" not in attributes, "a system call by its number"


def test_nothing_but_pythons_own_library_is_needed() -> None:
    for module in modules():
        foreign = {name.split(".")[0] for name in module.imports()} - sys.stdlib_module_names - {"kmemscope"}
        assert not foreign, module.name


def test_no_circle() -> None:
    assert circle({module.name: set(module.imports()) & names() for module in modules()}) == []


def test_circles_are_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@each_module
def test_no_room_is_a_junk_drawer(module: Module) -> None:
    assert not set(module.name.lower().split(".")) & JUNK_DRAWERS


@each_module
def test_a_module_says_what_it_knows(module: Module) -> None:
    assert ast.get_docstring(module.tree)


@each_module
def test_public_names_are_documented(module: Module) -> None:
    classes = [node for node in module.tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    members = [*module.tree.body, *(node for each in classes for node in each.body)]
    for node in members:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        assert ast.get_docstring(node), f"{module.name}.{node.name}"


@pytest.mark.parametrize("folder", ["src", "bpf", "tests", "benchmarks", "demo"])
def test_files_are_small(folder: str) -> None:
    files = [path for pattern in ("*.py", "*.c", "*.h") for path in (ROOT / folder).rglob(pattern)]
    long = {str(path.relative_to(ROOT)): n for path in files if (n := len(path.read_text().splitlines())) > MOST_LINES}
    assert not long
