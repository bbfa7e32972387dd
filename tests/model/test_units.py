import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.model.units import UNITS, count, percent, size


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (1024 * 1024, "1.0 MiB"),
        (25276502016, "23.5 GiB"),
        (1 << 50, "1.0 PiB"),
        (5000 << 50, "5000.0 PiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_sizes_are_written_in_binary_units(amount: int, text: str) -> None:
    assert size(amount) == text


@given(st.integers(-(1 << 59), 1 << 59))
def test_a_size_is_right_to_half_of_its_last_digit_and_never_1024_of_a_unit(amount: int) -> None:
    number, unit = size(amount).split()
    factor = 1024 ** UNITS.index(unit)

    assert abs(float(number) * factor - amount) <= 0.0501 * factor
    assert abs(float(number)) < 1024 or unit == UNITS[-1]
    assert abs(float(number)) >= 1 or amount == 0


def test_counts_have_separators() -> None:
    assert [count(0), count(999), count(1234567)] == ["0", "999", "1,234,567"]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1e-9, "<1 %"),
        (0.0099, "<1 %"),
        (0.01, "1 %"),
        (0.5, "50 %"),
        (0.9996, "99.96 %"),
        (0.999999, "99.99 %"),
        (1.0, "100 %"),
        (1.2, "120 %"),
    ],
)
def test_shares_are_written_in_percent(share: float, text: str) -> None:
    assert percent(share) == text


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_part_never_looks_like_nothing_or_everything(share: float) -> None:
    written = percent(share)

    assert written not in {"0 %", "100 %"}
    assert re.fullmatch(r"(<1|\d{1,2}(\.\d\d)?) %", written)
