import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.present.safe import safe, shortened
from tests.strategies import names

ANYTHING = st.one_of(st.text(), names(), st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))


@given(ANYTHING)
def test_what_is_shown_is_printable_whatever_was_chosen(text: str) -> None:
    assert safe(text).isprintable()


@given(ANYTHING)
def test_nothing_is_lost_but_what_is_over_the_limit(text: str) -> None:
    shown = safe(text, 10)

    assert shown.endswith("…") or len(text) <= 10
    assert len(shown) <= 11 or len(text) <= 10


@given(ANYTHING, ANYTHING)
def test_what_differs_is_shown_differently(one: str, other: str) -> None:
    assert (safe(one, 10_000) == safe(other, 10_000)) == (one == other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("orders-7d9", "orders-7d9"),
        ("größe ×3 █ 日本", "größe ×3 █ 日本"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("two\nlines", "two\\x0alines"),
        ("byte\udcff", "byte\\xff"),
        ("back\\slash", "back\\\\slash"),
        ("\x9b31m", "\\u009b31m"),
        ("\u202eevil", "\\u202eevil"),
        ("no\u00a0break", "no\\u00a0break"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_escapes(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(ANYTHING, st.integers(4, 60))
def test_a_shortened_text_fits_and_is_printable(text: str, width: int) -> None:
    shown = shortened(text, width)

    assert len(shown) <= width
    assert shown.isprintable()
    assert shown == safe(text, 4096) or "…" in shown
