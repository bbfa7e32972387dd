"""Reads the structs, enums and numbers of bpf/*.[ch] that are meant for Python, and nothing more of C."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[3] / "bpf"
SIZES = {"u64": 8, "u32": 4, "char": 1, "unsigned char": 1}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a struct; an array of numbers is many fields of one name, one of characters is one."""

    name: str
    size: int
    alignment: int


def text() -> str:
    """All sources without their comments."""
    files = sorted([*SOURCES.glob("*.h"), *SOURCES.glob("*.bpf.c")])
    return re.sub(r"/\*.*?\*/", "", "".join(file.read_text() for file in files), flags=re.DOTALL)


def defined(name: str) -> int:
    """The number that a name is defined as."""
    return number(re.findall(rf"^#define {name} (.+)$", text(), re.MULTILINE)[0])


def number(word: str) -> int:
    """A number, a name for one, or a shift of two."""
    word = word.strip().strip("()")
    if "<<" in word:
        base, _, shift = word.partition("<<")
        return number(base) << number(shift)
    return int(word, 0) if word[0].isdigit() else defined(word)


def struct(name: str) -> list[Field]:
    """The fields of the struct of this name, in order; raises KeyError for a type that Python does not know."""
    (body,) = re.findall(rf"^struct {name} {{(.*?)^}};", text(), re.DOTALL | re.MULTILINE)
    fields = []
    for statement in filter(None, map(str.strip, body.split(";"))):
        kind, _, names = re.sub(r"\s+", " ", statement).replace("unsigned char", "unsigned_char").partition(" ")
        size = SIZES[kind.replace("_", " ")]
        for each in names.split(","):
            found = re.fullmatch(r"(\w+)(?:\[(.+)\])?", each.strip())
            assert found, each
            many = number(found[2]) if found[2] else 1
            if size == 1:
                fields.append(Field(found[1], many, 1))
            else:
                fields += [Field(found[1], size, size)] * many
    return fields


def enum(name: str) -> dict[str, int]:
    """Names of an enum with their values."""
    (body,) = re.findall(rf"^enum {name} {{(.*?)^}};", text(), re.DOTALL | re.MULTILINE)
    values: dict[str, int] = {}
    for word in filter(None, map(str.strip, body.split(","))):
        key, _, given = map(str.strip, word.partition("="))
        values[key] = (
            (values[given] if given in values else int(given)) if given else max(values.values(), default=-1) + 1
        )
    return values
