"""Model values to plain JSON values and back, by their type hints.

A key that the type does not have is passed over, so that an older kmemscope reads what a newer one wrote as far as it
understands it; a key that is missing takes the field's default.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def plain(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Turn a model value into dicts, lists, strings and numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in sorted(value.items())}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return value


def build(kind: type[T], data: object) -> T:
    """Turn plain JSON values into a model value.

    Raises ValueError or TypeError when they do not fit.
    """
    return cast(T, _build(kind, data))


def _build(kind: Any, data: Any) -> Any:  # noqa: ANN401, PLR0911 - one return a shape of type
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if data is None and type(None) in get_args(kind):
            return None
        return _build(next(each for each in get_args(kind) if each is not type(None)), data)
    if origin is tuple:
        return tuple(_build(get_args(kind)[0], each) for each in expect(list, data))
    if origin in (dict, Mapping):
        of_key, of_value = get_args(kind)
        return {_build(of_key, key): _build(of_value, each) for key, each in expect(dict, data).items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        fields = expect(dict, data)
        hints = _hints(kind)
        return cast(Any, kind)(**{name: _build(hints[name], each) for name, each in fields.items() if name in hints})
    if issubclass(kind, Enum):
        return kind(data)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        data = float(in_range(data))
    if kind is float and not math.isfinite(expect(float, data)):
        raise ValueError("a number is not finite")
    return expect(kind, in_range(data) if kind is int else data)


@cache
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    return get_type_hints(kind)


def in_range(data: Any) -> Any:  # noqa: ANN401 - what is no number is another's to refuse
    """Refuse numbers that no counter of a kernel can have: they would overflow where shares are made of them."""
    if isinstance(data, int) and not -(1 << 63) <= data < 1 << 64:
        raise ValueError("a number is larger than any counter")
    return data


def expect(kind: type[T], data: object) -> T:
    """Check that a JSON value has a type; numbers are not truth values."""
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise TypeError(f"expected {kind.__name__}, found {type(data).__name__}")
    return data
